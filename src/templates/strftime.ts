const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
]
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** Python's datetime.strftime in the C locale, in local time. Codes that it lacks are refused rather than kept. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([\s\S]?)/g, (code, dash, letter) => {
    const text = fieldText(date, letter)
    if (text === undefined) throw new Error(`strftime_now does not know ${JSON.stringify(code)}`)
    return dash === '' ? text : text.replace(/^0+(?=\d)/, '')
  })
}

function fieldText(date: Date, letter: string): string | undefined {
  const pad = (value: number, width = 2) => String(value).padStart(width, '0')
  const hour12 = date.getHours() % 12 || 12
  const compound: Record<string, string> = { F: '%Y-%m-%d', T: '%H:%M:%S', R: '%H:%M', D: '%m/%d/%y' }
  if (compound[letter] !== undefined) return strftime(date, compound[letter])
  switch (letter) {
    case 'Y':
      return pad(date.getFullYear(), 4)
    case 'y':
      return pad(date.getFullYear() % 100)
    case 'm':
      return pad(date.getMonth() + 1)
    case 'd':
      return pad(date.getDate())
    case 'e':
      return String(date.getDate()).padStart(2, ' ')
    case 'b':
    case 'h':
      return MONTHS[date.getMonth()]!.slice(0, 3)
    case 'B':
      return MONTHS[date.getMonth()]!
    case 'a':
      return DAYS[date.getDay()]!.slice(0, 3)
    case 'A':
      return DAYS[date.getDay()]!
    case 'H':
      return pad(date.getHours())
    case 'I':
      return pad(hour12)
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM'
    case 'M':
      return pad(date.getMinutes())
    case 'S':
      return pad(date.getSeconds())
    case 'f':
      return pad(date.getMilliseconds() * 1000, 6)
    case 'j':
      return pad(dayOfYear(date), 3)
    case 'w':
      return String(date.getDay())
    case 'u':
      return String(date.getDay() || 7)
    case 'n':
      return '\n'
    case 't':
      return '\t'
    case '%':
      return '%'
    default:
      return undefined
  }
}

function dayOfYear(date: Date): number {
  const day = (year: number, month: number, at: number) => Date.UTC(year, month, at) / 86_400_000
  return day(date.getFullYear(), date.getMonth(), date.getDate()) - day(date.getFullYear(), 0, 0)
}
