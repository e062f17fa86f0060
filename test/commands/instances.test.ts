import { describe, test } from 'vitest';
import { both, cli } from './cli.ts';
import { client, command, instance, instanceDetail, NOW, options } from './fixtures.ts';

const found = { listClients: () => ({ items: [client()], nextCursor: null }) };
const filters = { status: null, mode: null, region: null, client_id: null, agent_id: null, search: null };

describe('instances', () => {
	test('list', async ({ expect }) => {
		const script = {
			listInstances: () => ({
				instances: [instance(), instance({ id: 'i-0old', role: 'zombie' })],
				total: 2,
				filters,
				count: 2,
				next_cursor: null,
			}),
		};
		const { tty, piped } = await both('instances list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID      CLIENT  ROLE     TYPE      AZ          MODE     SPOT  ON-DEMAND  AGENT  AGENT STATUS
			i-0abc  acme    primary  c5.large  us-east-1a  spot  $0.0321  -          a-1    online
			i-0old  acme    zombie   c5.large  us-east-1a  spot  $0.0321  -          a-1    online
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			i-0abc	acme	primary	c5.large	us-east-1a	spot	0.0321		a-1	online
			i-0old	acme	zombie	c5.large	us-east-1a	spot	0.0321		a-1	online
			"
		`);
	});

	test('list passes every filter on', async ({ expect }) => {
		const script = { ...found, listInstances: () => ({ instances: [], total: 0, filters, count: 0, next_cursor: null }) };
		const { calls } = await cli(
			'instances list --client acme --agent a-1 --status active --mode spot --region us-east-1 --search c5 --limit 3',
			{
				script,
			},
		);
		expect(calls.at(-1)?.input).toEqual({
			limit: 3,
			client_id: 'c-1',
			agent_id: 'a-1',
			status: 'active',
			mode: 'spot',
			region: 'us-east-1',
			search: 'c5',
		});
	});

	test('show', async ({ expect }) => {
		const { tty, piped } = await both('instances show i-0abc', { script: { showInstance: () => instanceDetail() } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:           i-0abc
			Client:       acme
			Role:         primary
			Type:         c5.large
			AZ:           us-east-1a
			Mode:         spot
			Spot:         $0.0321
			On-demand:    -
			Agent:        a-1
			Agent status: online
			Pool:         c5.large.us-east-1a
			Region:       us-east-1
			Status:       running_primary
			Active:       yes
			Logical id:   web-1
			Created:      2h ago
			Client id:    c-1
			Hostname:     ip-10-0-0-7
			AMI:          ami-1
			Private IP:   10.0.0.7
			Public IP:    -
			Last seen:    12s ago
			Last switch:  -
			Zombie since: -
			Terminated:   -
			Hold:         no
			Held until:   -
			Held because: -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	i-0abc
			client	acme
			role	primary
			type	c5.large
			az	us-east-1a
			mode	spot
			spot	0.0321
			on-demand	
			agent	a-1
			agent_status	online
			pool	c5.large.us-east-1a
			region	us-east-1
			status	running_primary
			active	true
			logical_id	web-1
			created	2026-11-23T10:00:00.000Z
			client_id	c-1
			hostname	ip-10-0-0-7
			ami	ami-1
			private_ip	10.0.0.7
			public_ip	
			last_seen	2026-11-23T11:59:48.000Z
			last_switch	
			zombie_since	
			terminated	
			hold	false
			held_until	
			held_because	
			"
		`);
	});

	test('show of one that is left to AWS says until when, and why', async ({ expect }) => {
		const left = { hold: true, holdUntil: new Date(NOW + 3_000_000).toISOString(), holdReason: 'AWS takes it back and ends it itself' };
		const { tty, piped } = await both('instances show i-0abc', { script: { showInstance: () => instanceDetail(left) } });
		expect(tty).toMatch(/Hold: +yes\nHeld until: +in 50m\nHeld because: +AWS takes it back and ends it itself\n/);
		expect(piped).toContain(`hold\ttrue\nheld_until\t${left.holdUntil}\nheld_because\t${left.holdReason}\n`);
	});

	test('options', async ({ expect }) => {
		const { tty, piped } = await both('instances options i-0abc', { script: { instanceOptions: options } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			POOL                 AZ          TYPE        PRICE  OBSERVED  CURRENT
			c5.large.us-east-1b  us-east-1b  c5.large  $0.0300  1m ago    no
			c5.large.us-east-1a  us-east-1a  c5.large        -  -         yes
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			c5.large.us-east-1b	us-east-1b	c5.large	0.03	2026-11-23T11:59:00.000Z	false
			c5.large.us-east-1a	us-east-1a	c5.large			true
			"
		`);
		expect(JSON.parse((await cli('instances options i-0abc -o json', { script: { instanceOptions: options } })).out)).toEqual(options());
		expect((await cli('instances options i-0abc -q', { script: { instanceOptions: options } })).out).toBe(
			'c5.large.us-east-1b\nc5.large.us-east-1a\n',
		);
	});

	const holdInstance = ({ hold }: { hold: boolean }) => ({ success: true, message: hold ? 'held' : 'released', hold });

	test('hold', async ({ expect }) => {
		const { tty, piped } = await both('instances hold i-0old', { script: { holdInstance } });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Hold: yes
			! held
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			hold	true
			! held
			"
		`);
		const { calls } = await cli('instances hold i-0old --client acme', { script: { ...found, holdInstance } });
		expect(calls.at(-1)?.input).toEqual({ instance_id: 'i-0old', hold: true, client_id: 'c-1' });
	});

	test('release', async ({ expect }) => {
		const { tty, piped } = await both('instances release i-0old', { script: { holdInstance }, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			Hold: no
			! This lets "i-0old" be terminated.
			! Go on? [y/N] released
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this lets "i-0old" be terminated; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		expect((await cli('instances release i-0old --yes', { script: { holdInstance } })).calls).toEqual([
			{ name: 'holdInstance', input: { instance_id: 'i-0old', hold: false } },
		]);
	});

	test('promote', async ({ expect }) => {
		const promoteInstance = () => ({
			success: true,
			message: 'promoted',
			agent_id: 'a-1',
			new_instance_id: 'i-0old',
			old_instance_id: 'i-0abc',
		});
		const { tty, piped } = await both('instances promote i-0old', { script: { promoteInstance }, input: 'y\n' });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			New primary: i-0old
			Old primary: i-0abc
			Agent:       a-1
			! This makes "i-0old" the primary and the old one a zombie on hold.
			! Go on? [y/N] promoted
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 2
			! spotctl: this makes "i-0old" the primary and the old one a zombie on hold; nobody is at a terminal to confirm it
			!   add --yes
			"
		`);
		const { out, calls } = await cli('instances promote i-0old --client acme --yes -q', { script: { ...found, promoteInstance } });
		expect([out, calls.at(-1)?.input]).toEqual(['i-0old\n', { instance_id: 'i-0old', client_id: 'c-1' }]);
	});
});

describe('commands', () => {
	test('list', async ({ expect }) => {
		const failed = command({ id: 'k-0', status: 'failed', outcome: 'report', message: `InsufficientInstanceCapacity ${'x'.repeat(100)}` });
		const script = { listCommands: () => ({ items: [command(), failed], nextCursor: null }) };
		const { tty, piped } = await both('commands list', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID   TYPE    STATUS   INSTANCE  TO                   NEW INSTANCE  CREATED  OUTCOME  MESSAGE
			k-1  switch  pending  i-0abc    c5.large.us-east-1b  -             5s ago   -        -
			k-0  switch  failed   i-0abc    c5.large.us-east-1b  -             5s ago   report   InsufficientInstanceCapacity xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			k-1	switch	pending	i-0abc	c5.large.us-east-1b		2026-11-23T11:59:55.000Z		
			k-0	switch	failed	i-0abc	c5.large.us-east-1b		2026-11-23T11:59:55.000Z	report	InsufficientInstanceCapacity xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
			"
		`);
		const { calls } = await cli('commands list --client acme --agent a-1 --status open', { script: { ...script, ...found } });
		expect(calls.at(-1)?.input).toEqual({ limit: 500, client_id: 'c-1', agent_id: 'a-1', status: 'open' });
	});

	test('show', async ({ expect }) => {
		const { tty, piped } = await both('commands show k-1', {
			script: { showCommand: () => command({ status: 'claimed', claimed_at: '2026-11-23T11:59:58.000Z' }) },
		});
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:             k-1
			Type:           switch
			Status:         claimed
			Instance:       i-0abc
			To:             c5.large.us-east-1b
			New instance:   -
			Created:        5s ago
			Outcome:        -
			Message:        -
			Agent:          a-1
			Trigger:        manual
			Created by:     admin:local
			Reason:         -
			Priority:       75
			Terminate wait: 300 s
			Expires:        in 30m
			Claimed:        2s ago
			Launched:       -
			Reported:       -
			Completed:      -
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	k-1
			type	switch
			status	claimed
			instance	i-0abc
			to	c5.large.us-east-1b
			new_instance	
			created	2026-11-23T11:59:55.000Z
			outcome	
			message	
			agent	a-1
			trigger	manual
			created_by	admin:local
			reason	
			priority	75
			terminate_wait	300
			expires	2026-11-23T12:30:00.000Z
			claimed	2026-11-23T11:59:58.000Z
			launched	
			reported	
			completed	
			"
		`);
	});

	test('cancel', async ({ expect }) => {
		const script = {
			cancelCommand: () => ({
				success: true,
				message: 'the command is cancelled',
				command: command({ status: 'cancelled' as const }),
				was: 'pending',
			}),
		};
		const { tty, piped } = await both('commands cancel k-1', { script });
		expect(tty).toMatchInlineSnapshot(`
			"exit 0
			ID:     k-1
			Status: cancelled
			Was:    pending
			! the command is cancelled
			"
		`);
		expect(piped).toMatchInlineSnapshot(`
			"exit 0
			id	k-1
			status	cancelled
			was	pending
			! the command is cancelled
			"
		`);
	});
});
