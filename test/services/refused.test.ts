// Why PostgreSQL is not opened: each reason has a name, and a fix that would help. The server says no itself, by its rights,
// its pg_hba.conf, its settings and its certificate.
import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { postgresFacts, postgresStatus } from '../../src/stores/postgres/admin.js'
import { systemClock } from '../../src/system/index.js'
import { CERTIFICATE, KEY } from '../../src/webhooks/fixtures/certificate.js'
import { freshPostgres, ownSchema } from './fresh.js'
import { as, code, opened, query, refusal } from './losses.js'
import { POSTGRES_NEEDS, type PostgresServer, startPostgres } from './postgres.mjs'

/** Whether lines of stores are encrypted. */
const ENCRYPTED = `select distinct s.ssl from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name = 'untildone'`

if (inject('postgres'))
  describe('what PostgreSQL refuses', () => {
    let server: PostgresServer
    beforeAll(async () => {
      server = await startPostgres({ inMemory: true, settings: { shared_buffers: '16MB' } })
      const hba = join(server.data, 'pg_hba.conf')
      const lines = ['host all secretive 127.0.0.1/32 scram-sha-256', 'host all barred 127.0.0.1/32 reject']
      const rest = readFileSync(hba, 'utf8')
      await query(
        server.url,
        `create role secretive login password 'right'`,
        'create role barred login',
        'create role poor login',
        'create role owner login',
        'create role few login connection limit 0',
        'create role reader login',
        'alter role reader set default_transaction_read_only = on',
        'create database "too small" connection limit 0',
        'revoke create on database postgres from public',
        'select 1',
      )
      writeFileSync(hba, `${lines.join('\n')}\n${rest}`)
      await query(server.url, 'select pg_reload_conf()')
      await vi.waitFor(() => expect(query(as(server.url, 'barred'), 'select 1')).rejects.toThrow())
    }, 60_000)
    afterAll(() => server?.remove())

    const open = (address: string, schema = ownSchema()) =>
      refusal(opened(freshPostgres(address, { schema, patienceMs: 100 })))

    it('a password that the address does not have is asked for', async () => {
      const error = await open(as(server.url, 'secretive'))
      expect(code(error)).toEqual(['store-unavailable', 'refused'])
      expect(error.message).toContain('asks for a password, and none was given')
      expect(error.fix).toContain('PGPASSWORD')
      const wrong = await open(as(server.url, 'secretive', { password: 'wrong' }))
      expect(code(wrong)).toEqual(['store-unavailable', 'refused'])
      expect(wrong.fix).toContain('user and password')
    })

    it('a line of pg_hba.conf is not a wrong password', async () => {
      const error = await open(as(server.url, 'barred'))
      expect(code(error)).toEqual(['store-unavailable', 'refused'])
      expect(error.fix).toContain('pg_hba.conf')
      expect(error.fix).not.toContain('Correct user and password')
    })

    it('a database that is not there is named in the command that makes it', async () => {
      const error = await open(as(server.url, 'untildone', { database: 'no where' }))
      expect(code(error)).toEqual(['store-unavailable', 'no-database'])
      expect(error.fix).toContain('createdb "no where"')
    })

    it('a limit of a role or of a database is raised there, and not for all', async () => {
      const role = await open(as(server.url, 'few'))
      expect(code(role)).toEqual(['store-unavailable', 'too-many-connections'])
      expect(role.fix).toContain('alter role "few" connection limit')
      expect(role.fix).not.toContain('max_connections')
      const database = await open(as(server.url, 'poor', { database: 'too small' }))
      expect(code(database)).toEqual(['store-unavailable', 'too-many-connections'])
      expect(database.fix).toContain('alter database "too small" connection limit')
    })

    it('a schema that must be made, one that another role has, and tables of another role need different rights', async () => {
      const [missing, taken, used] = [ownSchema(), ownSchema(), ownSchema()]
      const must = await open(as(server.url, 'poor'), missing)
      expect(code(must)).toEqual(['store-unavailable', 'no-right'])
      expect(must.fix).toContain(`create schema ${missing} authorization "poor"`)
      await query(server.url, `create schema ${taken} authorization owner`, 'select 1')
      const others = await open(as(server.url, 'poor'), taken)
      expect(code(others)).toEqual(['store-unavailable', 'no-right'])
      expect(others.message).toContain(`The schema ${taken} belongs to the role owner`)
      expect(others.fix).not.toContain('create schema')
      expect(others.fix).toContain(`alter schema ${taken} owner to "poor"`)
      await query(server.url, `grant usage, create on schema ${taken} to poor`, 'select 1')
      await (await opened(freshPostgres(as(server.url, 'poor'), { schema: taken }))).close()
      await (await opened(freshPostgres(server.url, { schema: used }))).close()
      const tables = await open(as(server.url, 'poor'), used)
      expect(code(tables)).toEqual(['store-unavailable', 'no-right'])
      expect(tables.fix).not.toContain('create schema')
      expect(tables.fix).toContain('the role that owns')
    })

    it.each([
      ['meta (id int)', 'meta', 'table `meta`'],
      ['meta (key text, value text)', 'meta', 'table `meta`'],
      ['jobs (id int)', 'jobs', '"jobs"'],
    ])('a schema with a table of somebody else, %s, is left alone', async (table, name, said) => {
      const schema = ownSchema()
      await query(server.url, `create schema ${schema}`, `create table ${schema}.${table}`)
      const error = await open(server.url, schema)
      expect(code(error)).toEqual(['store-unavailable', 'other-tables'])
      expect(error.message).toContain(said)
      expect(error.fix).toContain('--schema')
      const left = await query(
        server.url,
        `select relname from pg_class where relnamespace = '${schema}'::regnamespace`,
      )
      expect(left).toEqual([{ relname: name }])
      const seen = { params: { reason: 'other-tables' } }
      if (name === 'meta') await expect(postgresStatus(server.url, schema)).rejects.toMatchObject(seen)
    })

    it('a role that only reads is no replica', async () => {
      const error = await open(as(server.url, 'reader'))
      expect(code(error)).toEqual(['store-unavailable', 'read-only'])
      expect(error.message).toContain('default_transaction_read_only')
      expect(error.message).not.toContain('replica')
      expect(error.fix).toContain('alter role "reader" reset default_transaction_read_only')
      expect(await postgresFacts(as(server.url, 'reader'), 'none', systemClock)).toMatchObject({ readOnly: 'setting' })
      expect(await postgresFacts(server.url, 'none', systemClock)).toMatchObject({ readOnly: null })
    })

    describe('TLS', () => {
      const ca = () => join(server.data, 'ca.crt')
      const asked = (query: string, host = '127.0.0.1') => `${server.url.replace('127.0.0.1', host)}?${query}`
      const warnings: Error[] = []
      const warned = (warning: Error) => warnings.push(warning)
      beforeAll(() => {
        writeFileSync(ca(), CERTIFICATE)
        process.on('warning', warned)
      })
      afterAll(() => void process.off('warning', warned))

      it('is wanted of a server that has none: that is what is said', async () => {
        for (const mode of ['require', 'verify-full']) {
          const error = await open(asked(`sslmode=${mode}`))
          expect(code(error)).toEqual(['store-unavailable', 'no-tls'])
          expect(error.fix).toContain('ssl = on')
        }
      })

      it('is verified wherever it is asked for, and what is wrong with the certificate is said', async () => {
        const { uid, gid } = statSync(server.data)
        for (const [name, text] of Object.entries({ 'server.crt': CERTIFICATE, 'server.key': KEY })) {
          writeFileSync(join(server.data, name), text, { mode: 0o600 })
          chownSync(join(server.data, name), uid, gid)
        }
        await query(server.url, 'alter system set ssl = on', 'select pg_reload_conf()')
        await vi.waitFor(() => query(asked('sslmode=no-verify'), 'select 1'))
        for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full']) {
          const unknown = await open(asked(`sslmode=${mode}`))
          expect(code(unknown), mode).toEqual(['store-unavailable', 'untrusted'])
          expect(unknown.fix).toContain('sslrootcert')
          const other = await open(asked(`sslmode=${mode}&sslrootcert=${ca()}`, 'localhost'))
          expect(code(other), mode).toEqual(['store-unavailable', 'untrusted'])
          expect(other.fix).toContain('name')
          const bench = await opened(
            freshPostgres(asked(`sslrootcert=${ca()}&sslmode=${mode}`), { schema: ownSchema() }),
          )
          const lines = await query(server.url, ENCRYPTED)
          expect(lines, mode).toEqual([{ ssl: true }])
          await bench.close()
        }
        expect(warnings).toEqual([])
      })

      it('needs a file that is not there: that is what is said, at once', async () => {
        const error = await open(asked(`sslmode=verify-full&sslrootcert=${ca()}.none`))
        expect(code(error)).toEqual(['store-unavailable', 'no-certificate'])
        expect(error.message).toContain('ca.crt.none')
        expect(error.fix).toContain('sslrootcert')
      })
    })
  })
else
  describe('what PostgreSQL refuses', () => {
    it('says why', (context) => context.skip(POSTGRES_NEEDS))
  })
