import type { Step } from '../migrate.ts';

/** Orders that a host fetched and that ended without a switch, from the commands that are left. Every step can be run again. */
export const switchFailures: readonly Step[] = [
	{
		name: 'switch-failure',
		ddl: (t) => `create table if not exists switch_failure (
			id varchar(64) not null primary key, client_id varchar(64) not null, agent_id varchar(64) not null, trigger_type varchar(32) not null,
			at bigint not null,
			foreign key (client_id) references client (id) on delete cascade,
			foreign key (agent_id) references agent (id) on delete cascade)${t.end}`,
	},
	{ name: 'switch-failure-client', ddl: () => 'create index switch_failure_client on switch_failure (client_id, at)' },
	{ name: 'switch-failure-agent', ddl: () => 'create index switch_failure_agent on switch_failure (agent_id)' },
	{
		name: 'switch-failure-filled',
		ddl: () => `replace into switch_failure (id, client_id, agent_id, trigger_type, at)
			select id, client_id, agent_id, trigger_type, coalesce(completed_at, created_at)
			from command where status = 'failed' and claimed_at is not null and command_type = 'switch'`,
	},
];
