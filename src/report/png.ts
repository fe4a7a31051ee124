import { CHART_FONT } from './charts/draw.ts'

/** Where the letters of a PNG file come from. */
export interface PngFonts {
  /** TrueType or OpenType files, used beside those of the system. */
  fontFiles?: readonly string[]
  /** Whether to look for the system's fonts; default true. Without them a picture is the same on every machine. */
  systemFonts?: boolean
}

export interface PngDrawing {
  png: Buffer
  /** False where no font was found: the picture then has curves without a single letter. */
  hasText: boolean
}

/** Rasterises a chart at twice its size. Any font that is found will do where the chart's own are missing. */
export async function rasterise(svg: string, fonts: PngFonts = {}): Promise<PngDrawing> {
  // Loaded here because only reports draw.
  const { Resvg } = await import('@resvg/resvg-js')
  const font = { loadSystemFonts: fonts.systemFonts ?? true, fontFiles: [...(fonts.fontFiles ?? [])] }
  const probe =
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">' +
    `<text x="2" y="30" font-family="${CHART_FONT}" font-size="24px">pass</text></svg>`
  return {
    png: new Resvg(svg, { font, fitTo: { mode: 'zoom', value: 2 } }).render().asPng(),
    hasText: new Resvg(probe, { font }).innerBBox() !== undefined,
  }
}
