/** The text with every character that HTML and XML cannot carry replaced by U+FFFD. */
export function printable(text: string): string {
  return text.replace(/[\p{Surrogate}\p{Noncharacter_Code_Point}]|[^\P{Cc}\t\n\r]/gu, '\ufffd')
}
