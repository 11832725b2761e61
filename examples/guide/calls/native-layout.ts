/** Stands for a library with native code that takes its process along, once or each time. */
export function layout(text: string, attempt: number): number {
  const signal = text === 'aborts' ? 'SIGABRT' : text === 'crashes once' && attempt === 1 ? 'SIGSEGV' : null
  if (signal === null) return text.length
  process.kill(process.pid, signal)
  // The signal arrives while something is done.
  for (;;);
}
