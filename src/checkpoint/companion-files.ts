/** What may stand beside config.json and the parameters, and belongs to the model: the tokenizer, templates, defaults. */
export const COMPANION_FILES = [
  ...[
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'vocab.json',
  ],
  ...['merges.txt', 'tokenizer.model', 'chat_template.jinja', 'chat_template.json', 'generation_config.json'],
]
