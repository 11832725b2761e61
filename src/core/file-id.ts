/** What the id of a stored file looks like; the name of its bytes on disk is the same. Pure. */

export const FILE_ID = /^file_[A-Za-z0-9_-]{22}$/

export function isFileId(value: unknown): value is string {
  return typeof value === 'string' && FILE_ID.test(value)
}
