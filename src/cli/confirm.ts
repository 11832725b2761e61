/** A yes or no of the person at the terminal. Everything but `y` is no. */
import { type Context, Interrupted } from './context.js'

const CTRL_C = '\u0003'

export function confirmed({ io, interrupted }: Context, question: string): Promise<boolean> {
  io.err(`${question} [y/N] `)
  return new Promise((resolve, reject) => {
    const end = (say: () => void) => {
      off()
      interrupted.removeEventListener('abort', stop)
      io.err('\n')
      say()
    }
    const stop = () => end(() => reject(new Interrupted()))
    const off = io.onKey((key) => {
      // In this mode the terminal hands Ctrl-C over like any other key.
      if (key === CTRL_C) stop()
      else end(() => resolve(key === 'y' || key === 'Y'))
    })
    interrupted.addEventListener('abort', stop, { once: true })
  })
}
