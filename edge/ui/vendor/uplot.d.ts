/** What we use of uPlot (https://github.com/leeoniya/uPlot, 1.6.32). */
export interface Series { label?: string; stroke?: string; fill?: string; width?: number; dash?: number[]; scale?: string; paths?: unknown; points?: { show?: boolean; size?: number }; value?: (self: uPlot, value: number | null) => string }
export interface Axis { scale?: string; label?: string; side?: number; size?: number; stroke?: string; font?: string; grid?: { show?: boolean; stroke?: string }; values?: (self: uPlot, splits: number[]) => (string | number)[]; space?: number; incrs?: number[] }
export interface Options { width: number; height: number; series: Series[]; axes?: Axis[]; scales?: Record<string, { time?: boolean; range?: (self: uPlot, low: number, high: number) => [number, number] }>; legend?: { show?: boolean }; cursor?: { drag?: { x?: boolean; y?: boolean } } }
declare class uPlot {
  constructor(options: Options, data: (number | null)[][], into: HTMLElement);
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
  static paths: { bars?: (options: { size?: [number, number] }) => unknown };
}
export default uPlot;
