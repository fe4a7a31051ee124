import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { analyseSets } from '../../src/report/analysis.ts'
import { drawSvg } from '../../src/report/charts/draw.ts'
import { methodStyles } from '../../src/report/charts/palette.ts'
import { passAtKView, spreadApart } from '../../src/report/charts/pass-at-k-chart.ts'
import { rasterise } from '../../src/report/png.ts'
import { syntheticReport } from './synthetic-data.ts'

async function passAtKSvg(size: Parameters<typeof syntheticReport>[0]): Promise<string> {
  const data = syntheticReport(size)
  const view = passAtKView(data.methods, analyseSets(data)[0]!, methodStyles(data.methods), {
    width: 300,
    height: 200,
    endLabels: true,
  })
  return drawSvg(view, '#ffffff')
}

describe('the pass@k chart', () => {
  it('has a curve and a band for each method in its own colour, and a thin line for each seed', async () => {
    const data = syntheticReport({ prompts: 12, n: 16 })
    const svg = await passAtKSvg({ prompts: 12, n: 16 })
    for (const { colour } of methodStyles(data.methods)) {
      const curves = svg.match(new RegExp(`stroke="${colour.light}" stroke-width="2.2"`, 'g'))
      assert.equal(curves?.length, 1, colour.light)
      assert.equal(
        svg.match(new RegExp(`fill="${colour.light}" opacity="0.13"`, 'g'))?.length,
        1,
        colour.light,
      )
    }
    assert.equal(svg.match(/stroke-width="0.9"/g)?.length, 10)
    for (const k of ['1', '2', '4', '8', '16']) assert.ok(svg.includes(`>${k}</text>`), `tick ${k}`)
    assert.ok(svg.includes('W-REINFORCE 0.1'))
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
  })

  it('can be drawn for a single sample and a single method', async () => {
    const svg = await passAtKSvg({ prompts: 3, n: 1, methods: 1 })
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
  })

  it('escapes labels', async () => {
    const data = syntheticReport({ prompts: 3, n: 2, methods: 2 })
    data.methods[1]!.label = '<b>&"x'
    const analysis = analyseSets(data)[0]!
    const view = passAtKView(data.methods, analysis, methodStyles(data.methods), {
      width: 300,
      height: 200,
      endLabels: true,
      title: '<i>title</i>',
    })
    const svg = await drawSvg(view, null)
    assert.ok(svg.includes('&lt;b&gt;&amp;'))
    assert.doesNotMatch(svg, /<b>|<i>/)
  })
})

describe('spreadApart', () => {
  it('leaves alone what has room and moves what has not as little as possible', () => {
    assert.deepEqual(spreadApart([10, 50, 90], 15, 100), [10, 50, 90])
    assert.deepEqual(spreadApart([50, 50], 10, 100), [45, 55])
    assert.deepEqual(spreadApart([50, 52, 10], 10, 100), [46, 56, 10])
    assert.deepEqual(spreadApart([], 10, 100), [])
  })

  it('keeps order, gap and limits for any positions', () => {
    for (let trial = 0; trial < 200; trial++) {
      const wanted = Array.from({ length: 7 }, (_, i) => (((trial * 37 + i * i * 91) % 101) / 101) * 100)
      const placed = spreadApart(wanted, 12, 100)
      const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]! || a - b)
      for (let r = 0; r < order.length; r++) {
        const at = placed[order[r]!]!
        assert.ok(at > -1e-9 && at < 100 + 1e-9, `trial ${trial}`)
        if (r > 0) assert.ok(at - placed[order[r - 1]!]! > 12 - 1e-9, `trial ${trial}`)
      }
    }
  })
})

describe('methodStyles', () => {
  it('gives eight methods eight colours and sets the base policy apart', () => {
    const methods = Array.from({ length: 8 }, (_, i) => ({
      name: `m${i}`,
      label: `M${i}`,
      base: i === 0,
      runs: [],
    }))
    const styles = methodStyles(methods)
    assert.equal(new Set(styles.map((style) => style.colour.light)).size, 8)
    assert.equal(new Set(styles.map((style) => style.colour.dark)).size, 8)
    assert.notDeepEqual(styles[0]!.dash, [])
  })
})

describe('rasterise', () => {
  it('makes a PNG of twice the size and says whether letters could be drawn', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'
    const { png } = await rasterise(svg)
    assert.equal(png.subarray(1, 4).toString(), 'PNG')
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [60, 40])
    assert.equal((await rasterise(svg, { systemFonts: false })).hasText, false)
  })

  it('draws other pixels with letters than without, where the system has a font', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30"><text x="2" y="22" font-size="20px">k = 1</text></svg>'
    const { png, hasText } = await rasterise(svg)
    const blank = await rasterise(svg, { systemFonts: false })
    assert.equal(png.equals(blank.png), !hasText)
  })
})
