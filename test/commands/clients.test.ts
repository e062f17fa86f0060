import { describe, test } from 'vitest';
import { both, cli } from './cli.ts';
import { client, clientDetail } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };

describe('clients', () => {
	test('list', async ({ expect }) => {
		const script = {
			listClients: () => ({
				items: [client(), client({ id: 'c-2', name: '株式会社', status: 'inactive' as const, lastSync: null })],
				nextCursor: null,
			}),
		};
		const { tty, piped } = await both('clients list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   NAME      STATUS    ONLINE  AGENTS  INSTANCES  LAST SYNC  CREATED
			c-1  acme      active         2       3          4  1m ago     3d ago
			c-2  株式会社  inactive       2       3          4  -          3d ago
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			c-1	acme	active	2	3	4	2026-11-23T11:58:30.000Z	2026-11-20T12:00:00.000Z
			c-2	株式会社	inactive	2	3	4		2026-11-20T12:00:00.000Z
			"
		`);
	});

	test('list of nothing is a success, and an empty list in JSON', async ({ expect }) => {
		const script = { listClients: () => ({ items: [], nextCursor: null }) };
		const { tty, piped } = await both('clients list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			! no clients; create one: spotctl clients create NAME
			"
		`);
		expect(piped).toBe('exit 0\n');
		expect((await cli('clients list -o json', { script })).out).toBe('[]\n');
		expect((await cli('clients list -o yaml', { script })).out).toBe('[]\n');
		expect((await cli('clients list -o jsonl', { script })).out).toBe('');
		expect((await cli('clients list -o csv', { script })).out).toMatch(/^id,name,.*\r\n$/);
	});

	test('list passes its filter on', async ({ expect }) => {
		const { calls } = await cli('clients list --name acme --limit 7', { script: found });
		expect(calls).toEqual([{ name: 'listClients', input: { limit: 7, name: 'acme' } }]);
	});

	test('show takes a name or an id', async ({ expect }) => {
		const script = { ...found, showClient: clientDetail };
		const { tty, piped } = await both('clients show acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:              c-1
			Name:            acme
			Status:          active
			Online:          2
			Agents:          3
			Instances:       4
			Last sync:       1m ago
			Created:         3d ago
			Email:           -
			Max agents:      unlimited
			Max instances:   50
			Savings:         -
			Test:            no
			Active machines: 4
			Zombies:         1
			Terminated:      7
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	c-1
			name	acme
			status	active
			online	2
			agents	3
			instances	4
			last_sync	2026-11-23T11:58:30.000Z
			created	2026-11-20T12:00:00.000Z
			email	
			max_agents	unlimited
			max_instances	50
			savings	
			test	false
			active_machines	4
			zombies	1
			terminated	7
			"
		`);
		expect((await cli('clients show c-1', { script })).calls.at(-1)).toEqual({ name: 'showClient', input: { client_id: 'c-1' } });
	});

	test('show of a client that is not there says how to find one', async ({ expect }) => {
		const { code, err, out } = await cli('clients show nobody', { script: found });
		expect([code, out, err]).toEqual([5, '', 'spotctl: no client "nobody"\n  see: spotctl clients list\n']);
	});

	test('an id is preferred to a name that looks like it', async ({ expect }) => {
		const script = {
			listClients: () => ({ items: [client({ id: 'x', name: 'c-1' }), client()], nextCursor: null }),
			showClient: clientDetail,
		};
		expect((await cli('clients show c-1', { script })).calls.at(-1)?.input).toEqual({ client_id: 'c-1' });
	});

	test('create', async ({ expect }) => {
		const created = {
			success: true,
			client: { id: 'c-9', name: 'acme', email: null, token: 'sct_secret', token_id: 't-9', status: 'active' as const },
		};
		const script = { createClient: () => created };
		const { tty, piped } = await both('clients create acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:    c-9
			Name:  acme
			Token: sct_secret
			! Keep the token: it is not shown again. Agents send it; make another with: spotctl tokens create
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	c-9
			name	acme
			token	sct_secret
			! Keep the token: it is not shown again. Agents send it; make another with: spotctl tokens create
			"
		`);
		const quiet = await cli('clients create acme --quiet', { script });
		expect([quiet.out, quiet.err]).toEqual(['sct_secret\n', '']);
		expect(JSON.parse((await cli('clients create acme -o json', { script })).out)).toEqual(created);
		const { calls } = await cli('clients create acme --email a@b.example --max-agents 5 --max-instances unlimited --test', { script });
		expect(calls[0]?.input).toEqual({ name: 'acme', email: 'a@b.example', max_agents: 5, max_instances: null, test_client: true });
	});

	test('set', async ({ expect }) => {
		const script = { ...found, updateClient: () => ({ success: true, client: client({ maxAgents: 50 }) }) };
		const { tty, piped } = await both('clients set acme --max-agents 50', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:            c-1
			Name:          acme
			Status:        active
			Online:        2
			Agents:        3
			Instances:     4
			Last sync:     1m ago
			Created:       3d ago
			Email:         -
			Max agents:    50
			Max instances: 50
			Savings:       -
			Test:          no
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	c-1
			name	acme
			status	active
			online	2
			agents	3
			instances	4
			last_sync	2026-11-23T11:58:30.000Z
			created	2026-11-20T12:00:00.000Z
			email	
			max_agents	50
			max_instances	50
			savings	
			test	false
			"
		`);
		const { calls } = await cli('clients set acme --max-instances unlimited --status inactive --no-test', { script });
		expect(calls.at(-1)?.input).toEqual({ client_id: 'c-1', max_instances: null, status: 'inactive', test_client: false });
	});

	test('set of nothing is a mistake', async ({ expect }) => {
		const { code, err } = await cli('clients set acme', { script: found });
		expect([code, err]).toEqual([2, 'spotctl: nothing to change was given\n  see: spotctl clients set --help\n']);
	});

	const deleting = { ...found, deleteClient: () => ({ success: true, message: 'Client deleted' }) };

	test('delete asks for the name at a terminal', async ({ expect }) => {
		const right = await cli('clients delete c-1', { script: deleting, tty: true, input: 'acme\n' });
		expect(right.err).toMatchInlineSnapshot(`
			"This deletes client "acme" for ever, with its agents, tokens and history.
			Type "acme" to go on: deleted client "acme"
			"
		`);
		expect([right.code, right.calls.at(-1)]).toEqual([0, { name: 'deleteClient', input: { client_id: 'c-1' } }]);
	});

	test.for(['y\n', 'yes\n', 'c-1\n', 'Acme\n', '\n', ''])(
		'delete does nothing when %j is typed instead of the name',
		async (input, { expect }) => {
			const { code, err, calls } = await cli('clients delete acme', { script: deleting, tty: true, input });
			expect([code, calls.map(({ name }) => name)]).toEqual([130, ['listClients']]);
			expect(err).toContain('spotctl: not confirmed: nothing was changed\n');
		},
	);

	test('delete without a terminal needs --yes', async ({ expect }) => {
		const { piped } = await both('clients delete acme', { script: deleting, input: 'acme\n' });
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this deletes client "acme" for ever, with its agents, tokens and history; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		const agreed = await both('clients delete acme --yes', { script: deleting });
		expect(agreed.tty).toBe('exit 0\n! deleted client "acme"\n');
		expect(agreed.piped).toBe(agreed.tty);
		expect((await cli('clients rm acme -y -q', { script: deleting })).out).toBe('c-1\n');
	});
});
