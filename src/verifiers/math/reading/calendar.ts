const MONTHS = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
]
const MARKS = /\\(?:text|textbf|textrm|mathrm|mbox)|\\[,;: ]|[{}$"~*]|\^\s*(?:th|st|nd|rd)/g

function plain(text: string): string {
  return text
    .replaceAll(MARKS, (mark) => (mark.startsWith('^') ? mark.slice(1).trim() : ' '))
    .trim()
    .replace(/[.]$/, '')
    .toLowerCase()
}

function monthOf(word: string): number {
  const name = word.replace(/\.$/, '')
  return name.length < 3
    ? 0
    : MONTHS.findIndex(
        (month) => month === name || (month.slice(0, name.length) === name && name.length <= 4),
      ) + 1
}

/** A date as `1776-07-04`, without a year `--07-04`, without a day `1776-07`; undefined where the text is none. */
export function readDate(text: string): string | undefined {
  if (text.length > 60) return undefined
  const words = plain(text)
    .replace(/^(?:on\s+)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:the\s+)?/, '')
    .replace(/\s+of\s+/g, ' ')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
  const iso = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})$/.exec(words.join(''))
  if (iso !== null && words.length === 1) return dateKey(Number(iso[1]), Number(iso[2]), Number(iso[3]))
  if (words.length < 2 || words.length > 3) return undefined
  const at = words.findIndex((word) => monthOf(word) > 0)
  if (at === -1 || at > 1) return undefined
  const month = monthOf(words[at]!)
  const rest = words.filter((_, index) => index !== at)
  const numbers = rest.map((word) => /^(\d{1,4})(?:st|nd|rd|th)?$/.exec(word)?.[1])
  if (numbers.includes(undefined)) return undefined
  if (numbers.length === 2) return dateKey(Number(numbers[1]), month, Number(numbers[0]))
  return numbers[0]!.length === 4
    ? `${numbers[0]}-${two(month)}`
    : dateKey(undefined, month, Number(numbers[0]))
}

function dateKey(year: number | undefined, month: number, day: number): string | undefined {
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined
  return `${year ?? '-'}-${two(month)}-${two(day)}`
}

/** A time of day in seconds; undefined where the text is none. `3 PM` is one, `3` is not. */
export function readTime(text: string): number | undefined {
  if (text.length > 40) return undefined
  const words = plain(text).replaceAll(' ', '').replace(/^at/, '')
  if (words === 'noon' || words === '12noon') return 43_200
  if (words === 'midnight') return 0
  const time =
    /^(\d{1,2})(?::(\d\d))?(?::(\d\d))?(am|pm|a\.m\.?|p\.m\.?|h|o'clock)?(?:inthe(?:morning|afternoon|evening))?$/.exec(
      words,
    )
  if (time === null) return undefined
  const half = time[4]?.[0]
  if (time[2] === undefined && half !== 'a' && half !== 'p') return undefined
  let hour = Number(time[1])
  const [minute, second] = [Number(time[2] ?? 0), Number(time[3] ?? 0)]
  if (minute > 59 || second > 59 || hour > 24) return undefined
  if (half === 'a' || half === 'p') {
    if (hour < 1 || hour > 12) return undefined
    hour = (hour % 12) + (half === 'p' ? 12 : 0)
  }
  return hour * 3600 + minute * 60 + second
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
