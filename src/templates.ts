// How prompts become text, and text token ids: a model's chat template, the paper's raw ones, none.

export {
  type ChatMessage,
  ChatTemplate,
  type RenderOptions,
  type SpecialTokens,
} from './templates/chat-template.ts'
export { chatTemplateNames, readChatTemplate } from './templates/model-template.ts'
export {
  encodePrompt,
  loadPromptTemplate,
  type PromptTemplate,
  type PromptTemplateOptions,
  templateNames,
} from './templates/prompt-template.ts'
export type { RenderLimits } from './templates/render-budget.ts'
export { type CheckedPolicy, type CheckedPrompt, requireRunnable } from './templates/start-check.ts'
