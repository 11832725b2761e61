/** Whether an address can be one of a Redis server, before anybody connects. Never says what stands in it: it may have a password. */

const FORM = 'redis://user:password@host:6379/0, or rediss://… with TLS'

/** A sentence about what is wrong, and one that says what to do; null when nothing is. */
export function wrongAddress(url: string): { what: string; fix: string } | null {
  if (!/^rediss?:\/\//.test(url))
    return {
      what: 'The address of Redis begins with redis:// or, with TLS, with rediss://.',
      fix: `Like this: ${FORM}.`,
    }
  if (!URL.canParse(url))
    return {
      what: 'The address of Redis cannot be read: its port is no number, or its host no name.',
      fix: `The whole address is ${FORM}. In a password, / is written %2F, ? is %3F, # is %23 and @ is %40.`,
    }
  const { username, password, pathname } = new URL(url)
  try {
    decodeURIComponent(username + password)
  } catch {
    return { what: 'A % in the user or password of the address of Redis says nothing.', fix: 'Write %25 for it.' }
  }
  if (!/^(\/\d*)?$/.test(pathname))
    return {
      what: 'What follows the host in the address of Redis is the number of a database, and this is none.',
      fix: `Leave it out, or give a number: ${FORM}.`,
    }
  return null
}
