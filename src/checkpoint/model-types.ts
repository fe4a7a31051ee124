/** The architectures of the one implementation: Qwen2 adds q/k/v biases, Qwen3 q/k norms, Mistral a sliding window. */
export const MODEL_TYPES = ['llama', 'mistral', 'qwen2', 'qwen3'] as const
export type ModelType = (typeof MODEL_TYPES)[number]

/** The class of transformers that each of them is. */
export const ARCHITECTURES: Readonly<Record<ModelType, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
}
