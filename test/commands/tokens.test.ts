import { describe, test } from 'vitest';
import { both, cli } from './cli.ts';
import { client, token } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };

describe('tokens', () => {
	test('list', async ({ expect }) => {
		const script = {
			...found,
			listTokens: () => ({ items: [token(), token({ id: 't-0', state: 'revoked' as const })], nextCursor: null }),
		};
		const { tty, piped } = await both('tokens list acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   NAME   PREFIX    STATE    CREATED  LAST USED  EXPIRES
			t-1  first  sct_abcd  active   2h ago   -          -
			t-0  first  sct_abcd  revoked  2h ago   -          -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			t-1	first	sct_abcd	active	2026-11-23T10:00:00.000Z		
			t-0	first	sct_abcd	revoked	2026-11-23T10:00:00.000Z		
			"
		`);
	});

	test('show', async ({ expect }) => {
		const script = { ...found, revealToken: () => ({ token: 'sct_secret', client_name: 'acme' }) };
		const { tty, piped } = await both('tokens show acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Client: acme
			Token:  sct_secret
			"
		`);
		expect(piped).toBe('exit 0\nclient\tacme\ntoken\tsct_secret\n');
		expect((await cli('tokens show acme -q', { script })).out).toBe('sct_secret\n');
	});

	test('create', async ({ expect }) => {
		const script = { ...found, createToken: () => ({ success: true, token: 'sct_secret', token_id: 't-2', expires_at: null }) };
		const { tty, piped } = await both('tokens create acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:      t-2
			Token:   sct_secret
			Expires: -
			! Keep the token: it is not shown again.
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	t-2
			token	sct_secret
			expires	
			! Keep the token: it is not shown again.
			"
		`);
		const { calls, out } = await cli('tokens create acme --name ci --expires 90d -q', { script });
		expect(calls.at(-1)?.input).toEqual({ client_id: 'c-1', name: 'ci', expires_in_seconds: 7_776_000 });
		expect(out).toBe('sct_secret\n');
	});

	test('rotate', async ({ expect }) => {
		const answer = { success: true, token: 'sct_new', token_id: 't-3', old_tokens_end_at: '2026-11-24T12:00:00.000Z', old_tokens: 2 };
		const script = { ...found, rotateToken: () => answer };
		const { tty, piped } = await both('tokens rotate acme', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:             t-3
			Token:          sct_new
			Old tokens:     2
			Old tokens end: in 24h
			! Keep the token: it is not shown again.
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	t-3
			token	sct_new
			old_tokens	2
			old_tokens_end	2026-11-24T12:00:00.000Z
			! Keep the token: it is not shown again.
			"
		`);
		expect((await cli('tokens rotate acme', { script })).calls.at(-1)?.input).toEqual({ client_id: 'c-1', overlap_seconds: 86_400 });
		expect((await cli('tokens rotate acme --overlap 2h', { script })).calls.at(-1)?.input).toEqual({
			client_id: 'c-1',
			overlap_seconds: 7200,
		});
		const atOnce = await cli('tokens rotate acme --overlap 0', { script });
		expect([atOnce.code, atOnce.calls.length]).toEqual([2, 1]);
		expect((await cli('tokens rotate acme --overlap 0 --yes', { script })).code).toBe(0);
	});

	test('revoke', async ({ expect }) => {
		const script = { ...found, revokeToken: () => ({ success: true, message: 'the token is revoked' }) };
		const { tty, piped } = await both('tokens revoke acme t-1', { script, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			! This revokes token "t-1" of client "acme"; agents that send it lose access.
			! Go on? [y/N] the token is revoked
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this revokes token "t-1" of client "acme"; agents that send it lose access; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		expect((await cli('tokens revoke acme t-1 --yes', { script })).calls.at(-1)?.input).toEqual({ client_id: 'c-1', token_id: 't-1' });
	});
});

describe('admin-tokens', () => {
	test('list', async ({ expect }) => {
		const script = { listAdminTokens: () => ({ items: [{ ...token({ name: 'grafana' }), scope: 'read' as const }], nextCursor: null }) };
		const { tty, piped } = await both('admin-tokens list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   NAME     SCOPE  PREFIX    STATE   CREATED  LAST USED  EXPIRES
			t-1  grafana  read   sct_abcd  active  2h ago   -          -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			t-1	grafana	read	sct_abcd	active	2026-11-23T10:00:00.000Z		
			"
		`);
	});

	test('create', async ({ expect }) => {
		const script = {
			createAdminToken: () => ({
				success: true,
				token: 'sca_secret',
				token_id: 't-7',
				name: 'grafana',
				scope: 'read' as const,
				expires_at: null,
			}),
		};
		const { tty, piped } = await both('admin-tokens create grafana --scope read', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:      t-7
			Name:    grafana
			Scope:   read
			Token:   sca_secret
			Expires: -
			! Keep the token: it is not shown again.
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	t-7
			name	grafana
			scope	read
			token	sca_secret
			expires	
			! Keep the token: it is not shown again.
			"
		`);
		expect((await cli('admin-tokens create grafana --scope read -q', { script })).out).toBe('sca_secret\n');
		const vague = await cli('admin-tokens create grafana', { script });
		expect([vague.code, vague.calls]).toEqual([2, []]);
	});

	test('revoke', async ({ expect }) => {
		const script = { revokeAdminToken: () => ({ success: true, message: 'the token is revoked', name: 'grafana' }) };
		const { tty, piped } = await both('admin-tokens revoke grafana', { script, input: 'yes\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			! This revokes admin token "grafana"; whoever sends it loses access.
			! Go on? [y/N] the token is revoked
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this revokes admin token "grafana"; whoever sends it loses access; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		expect((await cli('admin-tokens revoke grafana --yes', { script })).calls).toEqual([
			{ name: 'revokeAdminToken', input: { token_id: 'grafana' } },
		]);
	});
});
