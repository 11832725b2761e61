// Customers of the gateway. Each is a tenant: what one of them sends, the others can neither read nor find. A key of a
// customer submits and reads analyses, and does nothing else.
import { type Engine, LOCAL } from 'untildone'

/** The key of each tenant that has got one now. */
export type TenantKeys = Record<string, string>

const NAME = /^[a-z][a-z0-9-]{0,30}$/

/** A key for each tenant that has none yet. A key is shown once, when it is made. @throws Error for a name that cannot be */
export async function keysOf(engine: Engine, tenants: readonly string[]): Promise<TenantKeys> {
  const keys: TenantKeys = {}
  for (const tenant of tenants) {
    if (!NAME.test(tenant))
      throw new Error(
        `"${tenant}" cannot be a tenant: use lower-case letters, digits and "-", beginning with a letter.`,
      )
    const admin = { ...LOCAL, tenant }
    const { length } = (await engine.listKeys(admin)).filter(({ revokedAt }) => revokedAt === null)
    if (length > 0) continue
    const made = await engine.createKey(admin, {
      name: `gateway of ${tenant}`,
      scopes: ['jobs:submit', 'jobs:read'],
      types: ['analysis'],
    })
    keys[tenant] = made.key!
  }
  return keys
}
