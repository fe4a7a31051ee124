import { extname } from 'node:path'
import { type DataExtension, isDataExtension } from '../data-formats.ts'
import { invalidArgument } from '../errors.ts'
import { arrowRows } from './arrow-rows.ts'
import { csvRows } from './csv-rows.ts'
import { jsonRows } from './json-rows.ts'
import { jsonlRows } from './jsonl-rows.ts'
import { parquetRows } from './parquet-rows.ts'
import type { ColumnChoice, RowBlocks } from './read-row.ts'

const READERS: Readonly<Record<DataExtension, (path: string, choose: ColumnChoice) => RowBlocks>> = {
  '.jsonl': jsonlRows,
  '.json': jsonRows,
  '.csv': csvRows,
  '.parquet': parquetRows,
  '.arrow': arrowRows,
}

/** The extensions of files that data are read from. */
export const dataExtensions: readonly string[] = Object.keys(READERS)

/** The rows of a data file; its extension says how it is read. */
export function readRows(path: string, choose: ColumnChoice): RowBlocks {
  const extension = extname(path)
  if (isDataExtension(extension)) return READERS[extension](path, choose)
  throw invalidArgument(
    path,
    `a file name that ends in ${dataExtensions.slice(0, -1).join(', ')} or ${dataExtensions.at(-1)}`,
    extension === '' ? path : extension,
  )
}
