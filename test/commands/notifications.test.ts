import { describe, test } from 'vitest';
import type { Api } from '../../src/contract/index.ts';
import { cli, stillClock } from './cli.ts';
import { NOW } from './fixtures.ts';

type Told = Awaited<ReturnType<Api['listNotifications']>>['items'][number];
type Happened = Awaited<ReturnType<Api['listActivity']>>['items'][number];
type Webhook = Awaited<ReturnType<Api['listWebhooks']>>['items'][number];

const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

const told = (over: Partial<Told> = {}): Told => ({
	id: 'n-1',
	message: 'web-1 stays on i-1: no capacity',
	severity: 'error',
	isRead: false,
	time: ago(30),
	title: 'Switch failed',
	type: 'switch_failed',
	clientId: 'c-1',
	agentId: 'a-1',
	count: 2,
	createdAt: ago(300),
	...over,
});

const happened = (id: number, over: Partial<Happened> = {}): Happened => ({
	id,
	type: 'event',
	text: `event ${id}`,
	time: ago(100 - id),
	severity: 'info',
	message: `event ${id}`,
	timestamp: ago(100 - id),
	clientId: 'c-1',
	clientName: 'acme',
	eventType: 'agent_registered',
	agentId: 'a-1',
	instanceId: null,
	...over,
});

const webhook: Webhook = {
	id: 'w-1',
	name: 'hooks.test',
	client_id: null,
	url: 'https://hooks.test/a',
	min_severity: 'error',
	types: ['switch_failed'],
	enabled: true,
	secret_sealed: true,
	created_at: ago(10),
	created_by: 'admin:first',
	updated_at: ago(10),
};

describe('notifications', () => {
	const page = { listNotifications: () => ({ items: [told()], nextCursor: null }) };

	test('list asks for a hundred at a time, with its filters', async ({ expect }) => {
		const { code, out, calls } = await cli('notifications list --severity error --unread --type switch_failed -o json', { script: page });
		expect([code, JSON.parse(out)]).toEqual([0, [told()]]);
		expect(calls.map(({ input }) => input)).toEqual([{ limit: 500, type: 'switch_failed', severity: 'error', unread: true }]);
	});

	test('read marks one, or all, and never guesses which', async ({ expect }) => {
		const script = {
			readNotification: ({ notif_id }: { notif_id: string }) => ({ success: true, marked_count: 0, found: notif_id === 'n-1' }),
			readAllNotifications: () => ({ success: true, marked_count: 7 }),
		};
		const one = await cli('notifications read n-1', { script });
		expect([one.code, one.err, one.calls]).toEqual([0, 'it is read already\n', [{ name: 'readNotification', input: { notif_id: 'n-1' } }]]);
		const none = await cli('notifications read nope', { script });
		expect([none.code, none.out, none.err]).toEqual([5, '', 'spotctl: no notification "nope"\n  see: spotctl notifications list\n']);
		const all = await cli('notifications read --all', { script });
		expect([all.code, all.err, all.calls]).toEqual([0, '7 marked as read\n', [{ name: 'readAllNotifications', input: {} }]]);
		for (const wrong of ['notifications read', 'notifications read n-1 --all', 'notifications read n-1 --client acme']) {
			const { code, calls } = await cli(wrong, { script });
			expect([wrong, code, calls]).toEqual([wrong, 2, []]);
		}
	});

	test('test-webhook shows the answer, and ends with 9 where it was not taken', async ({ expect }) => {
		const answer = {
			success: true,
			delivery_id: 'test.1',
			url: webhook.url,
			http_status: 200,
			error_message: null,
			answer: 'ok',
			duration_ms: 12,
		};
		const good = await cli('notifications test-webhook w-1', { script: { testWebhook: () => answer } });
		expect([good.code, good.out]).toEqual([
			0,
			'delivery\ttest.1\nurl\thttps://hooks.test/a\nstatus\t200\nerror\t\nanswer\tok\ntook\t0.012\n',
		]);
		const bad = await cli('notifications test-webhook w-1', {
			script: { testWebhook: () => ({ ...answer, success: false, http_status: 500, error_message: 'answered 500' }) },
		});
		expect([bad.code, bad.err]).toEqual([9, expect.stringContaining('answered 500')]);
	});
});

describe('notifications webhooks', () => {
	test('create shows the secret once', async ({ expect }) => {
		const { code, out, err, calls } = await cli(
			'notifications webhooks create https://hooks.test/a --min-severity error --types switch_failed,agent_offline',
			{ script: { createWebhook: () => ({ success: true, webhook, secret: 'whs_shown' }) } },
		);
		expect([code, out.includes('whs_shown'), err]).toEqual([0, true, 'Keep the secret: it is not shown again.\n']);
		expect(calls[0]?.input).toEqual({ url: 'https://hooks.test/a', min_severity: 'error', types: ['switch_failed', 'agent_offline'] });
	});

	test('update changes what is given, and refuses to change nothing', async ({ expect }) => {
		const script = { updateWebhook: () => ({ success: true, webhook, secret: null }) };
		const { code, calls } = await cli('notifications webhooks update w-1 --types all --enabled off', { script });
		expect([code, calls[0]?.input]).toEqual([0, { webhook_id: 'w-1', types: null, enabled: false }]);
		expect((await cli('notifications webhooks update w-1', { script })).code).toBe(2);
	});

	test('list, dead, retry and delete', async ({ expect }) => {
		const script = {
			listWebhooks: () => ({ items: [webhook], nextCursor: null }),
			listWebhookDeliveries: () => ({ items: [], nextCursor: null }),
			retryWebhookDeliveries: () => ({ success: true, retried: 3 }),
			deleteWebhook: () => ({ success: true, message: 'webhook hooks.test was deleted' }),
		};
		expect((await cli('notifications webhooks list -q', { script })).out).toBe('w-1\n');
		expect((await cli('notifications webhooks dead --webhook w-1', { script })).calls[0]?.input).toEqual({ limit: 500, webhook_id: 'w-1' });
		expect((await cli('notifications webhooks retry --all', { script })).err).toBe('3 will be sent again within seconds\n');
		expect((await cli('notifications webhooks retry', { script })).code).toBe(2);
		expect((await cli('notifications webhooks retry d-1 --all', { script })).code).toBe(2);
		expect((await cli('notifications webhooks delete w-1 --yes', { script })).err).toBe('webhook hooks.test was deleted\n');
	});
});

describe('activity', () => {
	test('lists with its filters', async ({ expect }) => {
		const { out, calls } = await cli('activity --type switch --severity info --since 2026-11-23T11:00:00Z --limit 5 -q', {
			script: { listActivity: () => ({ items: [happened(2), happened(1)], nextCursor: null }) },
		});
		expect(out).toBe('2\n1\n');
		expect(calls[0]?.input).toEqual({ limit: 5, type: 'switch', severity: 'info', since: '2026-11-23T11:00:00Z' });
	});

	test('--follow shows each event once, the oldest first, also one that was committed late', async ({ expect }) => {
		const interrupt = new AbortController();
		const answers = [
			[happened(3), happened(1)],
			[happened(3), happened(2), happened(1)],
			[happened(4), happened(3)],
		];
		const clock = stillClock(NOW);
		const { code, out, calls } = await cli('activity --follow -q', {
			clock,
			signal: interrupt.signal,
			script: {
				listActivity: () => {
					const items = answers.shift();
					if (items === undefined) {
						interrupt.abort(new Error('stop'));
						return { items: [], nextCursor: null };
					}
					return { items, nextCursor: null };
				},
			},
		});
		expect(out).toBe('1\n3\n2\n4\n');
		expect(code).not.toBe(0);
		expect(calls.map(({ input }) => (input as { limit: number }).limit)).toEqual([20, 1000, 1000, 1000]);
		expect(calls[1]?.input).toMatchObject({ since: new Date(Date.parse(happened(3).time) - 120_000).toISOString() });
	});
});
