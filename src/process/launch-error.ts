// A wrapper that could not exec the program has started well itself: its own words say why, and its exit is not the program's.
// Pure. Must never take a program's own exit 126 for it: the words must be the wrapper's, about this very file.

const EXEC_FAILED = /^(?:setpriv|prlimit|unshare): (?:failed to execute|exec) (.+): ([^:\n]+)\n?$/
/** As the C library words them; in another language the exit code stays what is told. */
const CODES: Record<string, string> = {
  'Text file busy': 'ETXTBSY',
  'Exec format error': 'ENOEXEC',
  'Cannot allocate memory': 'ENOMEM',
  'Resource temporarily unavailable': 'EAGAIN',
  'Permission denied': 'EACCES',
  'No such file or directory': 'ENOENT',
  'Argument list too long': 'E2BIG',
  'Input/output error': 'EIO',
}

/** Why the program never ran; null when it did, or nobody can tell. */
export function launchError(
  code: number | null,
  stderr: Buffer,
  file: string,
): { code: string; message: string } | null {
  if ((code !== 126 && code !== 127) || stderr.length > 4096) return null
  const [, named, why] = EXEC_FAILED.exec(stderr.toString('utf8')) ?? []
  const found = named === file ? CODES[why!] : undefined
  return found ? { code: found, message: `${file} cannot be executed: ${why}` } : null
}
