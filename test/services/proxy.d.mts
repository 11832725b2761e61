export interface Line {
  silent: boolean
  cut(): void
  drop(): void
}
export interface LineProxy {
  target: { host: string; port: number }
  readonly port: number
  late: number
  refusing: boolean
  ways: number
  readonly count: number
  through(url: string): string
  cut(): void
  silence(): void
  when(
    to: 'server' | 'client',
    text: string | RegExp,
    action: 'cut' | 'silence' | ((line: Line) => void),
  ): Promise<void>
  forget(): void
  close(): Promise<void>
}
export function startProxy(target: { host: string; port: number }): Promise<LineProxy>
