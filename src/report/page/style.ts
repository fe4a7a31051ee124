import { chartColours } from '../charts/palette.ts'

/** The page's style sheet: light and dark by the reader's preference, always light on paper. */
export function reportStyle(): string {
  const recolour = chartColours()
    .map(
      ({ light, dark }) => `.chart [fill="${light}"]{fill:${dark}}.chart [stroke="${light}"]{stroke:${dark}}`,
    )
    .join('\n')
  return `${STYLE}@media screen and (prefers-color-scheme: dark) {\n${DARK}${recolour}\n}\n${PRINT}`
}

const STYLE = `:root {
  color-scheme: light dark;
  --page: #fbfbf9; --card: #ffffff; --ink: #20252b; --muted: #59626c; --rule: #dfe2e0; --soft: #f1f3ef;
  --accent: #2c6e49; --up: #2b7fd0; --down: #e8590c; --right: #1a7f4b; --wrong: #b3372a;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 var(--sans);
  border-top: 4px solid var(--accent); overflow-wrap: break-word;
}
.sheet { max-width: 1120px; margin: 0 auto; padding: 2.2rem 1.5rem 4rem; }
a { color: var(--accent); text-underline-offset: 0.15em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.eyebrow { margin: 0; color: var(--accent); font-size: 0.85rem; font-weight: 600; letter-spacing: 0.02em; }
h1 { margin: 0.2rem 0 0.6rem; font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.4rem); line-height: 1.15; letter-spacing: -0.015em; text-wrap: balance; }
h2 { margin: 0 0 0.7rem; font-size: 1.4rem; line-height: 1.25; letter-spacing: -0.01em; }
h3 { margin: 1.6rem 0 0.3rem; font-size: 1.05rem; line-height: 1.35; }
h4 { margin: 0; font-size: 0.95rem; }
p { margin: 0 0 0.8rem; max-width: 72ch; }
.summary { font-size: 1.12rem; }
.note { color: var(--muted); font-size: 0.88rem; font-weight: 400; }
header .note { max-width: none; }
header .note span + span::before { content: " · "; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; margin: 1rem 0 0; padding: 0; list-style: none; font-size: 0.92rem; }
.part { margin-top: 2.2rem; padding-top: 1.6rem; border-top: 1px solid var(--rule); }
.reading { columns: 2 26rem; column-gap: 3rem; }
.reading div { break-inside: avoid; }
.reading h3 { margin-top: 0; }
figure { margin: 0; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.3rem; margin: 0.4rem 0 0.8rem; padding: 0; list-style: none; font-size: 0.9rem; }
.key li { display: flex; align-items: center; gap: 0.45rem; }
.swatch { flex: none; vertical-align: baseline; }
.method { display: inline-flex; align-items: baseline; gap: 0.45rem; }
.plot svg { display: block; width: 100%; height: auto; overflow: visible; }
.chart text { font-family: var(--sans); }
.plot.wide { max-width: 1040px; }
.plot.narrow { display: none; max-width: 520px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 1.6rem 1.8rem; }
.panels svg { display: block; width: 100%; max-width: 400px; height: auto; }
.scroll { overflow-x: auto; margin: 1.3rem 0 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { padding: 0 0 0.5rem; color: var(--muted); font-size: 0.88rem; text-align: left; }
caption span { display: inline-block; position: sticky; left: 0; max-width: min(72rem, calc(100vw - 2rem)); }
.name { white-space: nowrap; }
th, td { padding: 0.32rem 0.7rem 0.32rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1.5px solid var(--muted); color: var(--muted); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.figures { width: 100%; min-width: 44rem; }
.figures :is(th, td) { padding-right: 0.35rem; }
.figures :is(th + th, td) { padding-left: 0.35rem; text-align: right; white-space: nowrap; }
.figures thead th { white-space: normal; }
.evaluation thead th + th { min-width: 6.5rem; }
.figures tbody th { white-space: nowrap; }
.figures :is(th, td):first-child { position: sticky; left: 0; background: var(--page); }
.ci { display: block; color: var(--muted); font-size: 0.76rem; line-height: 1.3; }
.differences tbody th { min-width: 8.5rem; white-space: normal; line-height: 1.35; }
.differences .ci { font-size: 0.72rem; letter-spacing: -0.01em; }
.differences .apart { font-weight: 650; }
.differences .apart .ci { font-weight: 400; }
.differences .together { color: var(--muted); }
details { margin-top: 1.1rem; }
summary { width: fit-content; color: var(--accent); cursor: pointer; font-size: 0.92rem; }
.pairs { columns: 2 24rem; column-gap: 3rem; }
.pairs section { break-inside: avoid; margin-bottom: 1.4rem; }
.pairs h3 { margin-top: 0; }
.pairs table { width: 100%; }
.pairs th { width: 45%; }
.pairs td { overflow-wrap: anywhere; }
.bar { display: block; height: 3px; margin-top: 0.25rem; border-radius: 2px; background: var(--accent); opacity: 0.55; }
pre, code { font-family: var(--mono); font-size: 0.88rem; }
.prompt { margin: 0 0 0.6rem; padding: 0.6rem 0.8rem; border-left: 3px solid var(--accent); background: var(--soft); white-space: pre-wrap;
  max-height: 20rem; overflow: auto; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(12rem, 1fr); gap: 1.3rem; overflow-x: auto; padding: 0.2rem 0.2rem 0.6rem; }
.column ol { margin: 0; padding: 0; list-style: none; }
.column li { margin-top: 0.7rem; }
.column .note { margin: 0; }
.facts { margin: 0 0 0.15rem; color: var(--muted); font-size: 0.76rem; line-height: 1.4; }
.verdict { font-weight: 650; white-space: nowrap; }
.verdict.right { color: var(--right); }
.verdict.wrong { color: var(--wrong); }
.tokens { font: 0.82rem/2 var(--mono); white-space: pre-wrap; max-height: 18rem; overflow-y: auto; }
.t {
  --c: transparent; padding: 0.12em 0.2em 0.2em; margin-right: 1px; border-radius: 2px;
  background:
    linear-gradient(var(--muted), var(--muted)) 0 100% / calc(var(--p, 0) * 100%) 2px no-repeat,
    color-mix(in srgb, var(--c) calc(6% + 60% * var(--w, 0)), transparent);
  -webkit-box-decoration-break: clone; box-decoration-break: clone;
}
.t.up { --c: var(--up); }
.t.down { --c: var(--down); }
.t.current { outline: 2px solid var(--ink); }
.tip {
  position: fixed; z-index: 9; max-width: min(26rem, calc(100vw - 16px)); padding: 0.25rem 0.55rem; border-radius: 4px;
  background: var(--ink); color: var(--page); font: 0.8rem/1.45 var(--mono); pointer-events: none; white-space: pre-wrap;
}
.tip[hidden] { display: none; }
@media (max-width: 740px) {
  .sheet { padding: 1.4rem 1rem 3rem; }
  .plot.wide { display: none; }
  .plot.narrow { display: block; }
}
@media (max-width: 480px) { .columns { grid-auto-columns: 78%; } }
`

const DARK = `:root {
  --page: #14171a; --card: #1a1e22; --ink: #e7e9ec; --muted: #a3adb8; --rule: #2f353b; --soft: #1d2226;
  --accent: #7ccb9b; --up: #4aa3ff; --down: #ff7a2f; --right: #5fd394; --wrong: #ff8f80;
}
`

const PRINT = `@page { size: A4; margin: 14mm 13mm; }
@media print {
  :root { color-scheme: light; --page: #ffffff; }
  html { font-size: 9.5pt; }
  body { font-size: 1rem; line-height: 1.42; border-top: 0; }
  p { max-width: none; orphans: 2; widows: 2; }
  .tokens { font-size: 0.68rem; }
  .facts { font-size: 0.68rem; }
  .sheet { max-width: none; padding: 0; }
  nav, .tip, .screen-only { display: none; }
  .plot.wide { display: block; }
  .plot.narrow { display: none; }
  h2, h3, h4, caption, .part > p, .group > p, .prompt { break-after: avoid; }
  figure, table, tr, details, .column li, .reading p { break-inside: avoid; }
  .reading { columns: 2 22rem; column-gap: 2rem; }
  .reading div { break-inside: auto; }
  .prompt, .tokens { max-height: none; overflow: visible; }
  .scroll { overflow: visible; }
  .figures { min-width: 0; font-size: 7.6pt; }
  .evaluation thead th + th { min-width: 0; }
  .figures :is(th, td):first-child { position: static; }
  .figures :is(th, td) { padding: 0.2rem 0.15rem; }
  .figures tbody th { white-space: normal; }
  .figures .ci, .differences .ci { font-size: 5.9pt; letter-spacing: -0.02em; }
  .differences tbody th { min-width: 0; }
  .panels { grid-template-columns: repeat(3, 1fr); gap: 1rem; }
  .columns { grid-auto-flow: row; grid-template-columns: repeat(auto-fit, minmax(33mm, 1fr)); overflow: visible; }
  .t, .bar, .prompt { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
`
