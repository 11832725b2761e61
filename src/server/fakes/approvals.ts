/** An inbox in which nothing ever is; tests of approvals over HTTP use a real engine. Never in the package. */
import { UntildoneError } from '../../core/index.js'
import type { Engine } from '../../engine/api.js'

const none = async () => {
  throw new UntildoneError('not-found', 'There is no such approval.')
}

export const noApprovals: Engine['approvals'] = {
  list: async () => ({ items: [], nextCursor: null }),
  get: none,
  decide: none,
  decideMany: none,
}
