/** The extensions of files that data are read from; where a data set offers several, the first of these is taken. */
export const DATA_EXTENSIONS = ['.parquet', '.jsonl', '.json', '.csv', '.arrow'] as const

export type DataExtension = (typeof DATA_EXTENSIONS)[number]

export function isDataExtension(extension: string): extension is DataExtension {
  return (DATA_EXTENSIONS as readonly string[]).includes(extension)
}
