import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { writeReport } from '../../src/report/write-report.ts'
import { syntheticReport } from './synthetic-data.ts'

// The report in a real browser. COPPICE_CHROMIUM names the executable; otherwise the usual places are tried, and a
// machine without one fails. COPPICE_SKIP_BROWSER=1 leaves these tests out, and the test run then says so.

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const HOSTILE =
  '"><img src="https://example.invalid/x.png" onerror="window.hacked=1"><script>window.hacked=1</script>'

function findBrowser(): string {
  const named = process.env.COPPICE_CHROMIUM
  const found = named === undefined ? PLACES.find((place) => existsSync(place)) : named
  if (found !== undefined && existsSync(found)) return found
  throw new Error(
    `no browser at ${named ?? PLACES.join(', ')}: install one (Debian: apt-get install chromium), name it in ` +
      'COPPICE_CHROMIUM, or leave these tests out with COPPICE_SKIP_BROWSER=1',
  )
}

const skip = process.env.COPPICE_SKIP_BROWSER === '1' ? 'left out by COPPICE_SKIP_BROWSER=1' : false

describe('the report in a browser', { skip }, () => {
  let dir: string
  let address: string
  let context: BrowserContext

  before(async () => {
    const executablePath = findBrowser()
    dir = await mkdtemp(join(tmpdir(), 'coppice-browser-'))
    const data = syntheticReport({ prompts: 30, n: 32, steps: 50 })
    data.notes!.push(HOSTILE)
    data.groups![0]!.prompt += HOSTILE
    data.groups![0]!.columns[0]!.samples[0]!.tokens[0] = HOSTILE
    address = pathToFileURL((await writeReport(join(dir, 'report'), data)).html).href
    context = await chromium.launchPersistentContext(join(dir, 'profile'), { executablePath, args: FLAGS })
  })

  after(async () => {
    await context?.close()
    if (dir !== undefined) await rm(dir, { recursive: true, force: true })
  })

  /** Opens the report, hands it over, and afterwards checks that it asked for nothing and complained of nothing. */
  async function onPage(
    view: { width: number; dark?: boolean },
    body: (page: Page) => Promise<void>,
  ): Promise<void> {
    const page = await context.newPage()
    const requests: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.setViewportSize({ width: view.width, height: 900 })
    await page.emulateMedia({ colorScheme: view.dark === true ? 'dark' : 'light' })
    await page.goto(address)
    await body(page)
    assert.deepEqual(complaints, [])
    assert.deepEqual(
      requests.filter((url) => !url.startsWith('data:')),
      [address],
    )
    await page.close()
  }

  it('has charts, tables and samples, asks for nothing and runs nothing foreign', async () => {
    await onPage({ width: 1280 }, async (page) => {
      assert.equal(await page.locator('.plot.wide svg:visible').count(), 3)
      assert.equal(await page.locator('.plot.narrow svg:visible').count(), 0)
      assert.equal(await page.locator('.panels figure svg').count(), 11)
      const tables = page.locator('table.figures')
      assert.equal(await tables.count(), 12)
      for (let i = 0; i < 12; i++) {
        const table = tables.nth(i)
        assert.equal(await table.locator('caption').count(), 1)
        const columns = await table.locator('thead th[scope=col]').count()
        for (const row of await table.locator('tbody tr').all()) {
          assert.equal(await row.locator('th[scope=row]').count(), 1)
          assert.equal(await row.locator('td').count(), columns - 1)
        }
      }
      assert.equal(await page.locator('.tokens').count(), 40)
      assert.equal(await page.evaluate('window.hacked'), undefined)
      const chart = await page.locator('.plot.wide svg').first().boundingBox()
      assert.ok(chart !== null && chart.width > 800 && chart.height > 300)
    })
  })

  it('shows letters in its charts', async () => {
    await onPage({ width: 1280 }, async (page) => {
      const texts = page.locator('.plot.wide svg').first().locator('text')
      const shown = (await texts.allTextContents()).join('|')
      for (const word of ['pass@k', '32', 'W-REINFORCE 0.1', '100%']) assert.ok(shown.includes(word), word)
      for (const box of await texts.evaluateAll(boxesOf))
        assert.ok(box.width > 0 || box.text === '', box.text)
    })
  })

  it('tells a token’s numbers by pointer and by keyboard', async () => {
    await onPage({ width: 1280 }, async (page) => {
      const group = page.locator('.tokens').nth(4)
      await group.scrollIntoViewIfNeeded()
      await group.locator('.t').nth(2).hover()
      const tip = page.locator('.tip')
      assert.match((await tip.textContent())!, /^\d.*log-prob −\d.*\(p 0\.\d{3}\), weight /s)
      await page.mouse.move(1, 1)
      await tip.waitFor({ state: 'hidden' })

      await group.focus()
      await page.keyboard.press('ArrowRight')
      // By locator: the page's security policy forbids the evaluation that waitForFunction polls with.
      await group.locator('> :nth-child(2).current').waitFor()
      await page.keyboard.press('End')
      await group.locator('> :last-child.current').waitFor()
      assert.equal(await tip.isVisible(), true)
      await page.keyboard.press('Escape')
      assert.equal(await tip.isVisible(), false)
    })
  })

  it('fits a phone without scrolling sideways', async () => {
    await onPage({ width: 360 }, async (page) => {
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360)
      assert.equal(await page.locator('.plot.wide svg:visible').count(), 0)
      assert.equal(await page.locator('.plot.narrow svg:visible').count(), 3)
    })
  })

  it('recolours itself and its charts in the dark', async () => {
    const lightness = (page: Page, selector: string, property: string) =>
      page.locator(selector).first().evaluate(lightnessOf, property)
    await onPage({ width: 1280 }, async (page) => {
      assert.ok((await lightness(page, 'body', 'background-color')) > 0.9)
      assert.ok((await lightness(page, '.plot.wide .mark-text text', 'fill')) < 0.5)
    })
    await onPage({ width: 1280, dark: true }, async (page) => {
      assert.ok((await lightness(page, 'body', 'background-color')) < 0.15)
      assert.ok((await lightness(page, 'body', 'color')) > 0.8)
      assert.ok((await lightness(page, '.plot.wide .mark-text text', 'fill')) > 0.5)
      assert.ok((await lightness(page, '.panels .role-axis-grid line', 'stroke')) < 0.3)
    })
  })

  it('prints: light, folded parts open, nothing cut off', async () => {
    await onPage({ width: 1280, dark: true }, async (page) => {
      const pdf = await page.pdf({ preferCSSPageSize: true })
      assert.equal(pdf.subarray(0, 5).toString(), '%PDF-')
      assert.ok(pdf.length > 50_000)
      // What paper shows, at the width of A4 less its margins (184 mm).
      await page.emulateMedia({ media: 'print' })
      await page.setViewportSize({ width: 695, height: 1000 })
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 695)
      assert.ok((await page.locator('body').evaluate(lightnessOf, 'background-color')) > 0.99)
      assert.equal(await page.locator('details[open]').count(), 0)
      await page.evaluate('dispatchEvent(new Event("beforeprint"))')
      assert.equal(await page.locator('details[open]').count(), 3)
      await page.evaluate('dispatchEvent(new Event("afterprint"))')
      assert.equal(await page.locator('details[open]').count(), 0)
    })
  })
})

// Run inside the page, where the DOM is; the compiler here knows no DOM.

interface PageElement {
  textContent: string
  getBoundingClientRect(): { width: number }
}

function boxesOf(elements: readonly unknown[]): { text: string; width: number }[] {
  return (elements as PageElement[]).map((element) => ({
    text: element.textContent,
    width: element.getBoundingClientRect().width,
  }))
}

/** Mean of red, green and blue of a computed colour, 0 to 1. */
function lightnessOf(element: unknown, property: string): number {
  const { getComputedStyle } = globalThis as unknown as {
    getComputedStyle: (e: unknown) => { getPropertyValue(name: string): string }
  }
  const [red = 0, green = 0, blue = 0] = getComputedStyle(element)
    .getPropertyValue(property)
    .match(/[\d.]+/g)!
    .map(Number)
  return (red + green + blue) / 765
}
