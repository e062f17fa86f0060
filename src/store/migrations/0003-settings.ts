import type { Step } from '../migrate.ts';

/** What a deletion turned off and when an agent was enabled; e-mail addresses in lower case. Every step can be run again. */
export const settings: readonly Step[] = [
	{ name: 'agent-enabled-at', ddl: () => 'alter table agent add column enabled_at bigint' },
	{ name: 'agent-kept-settings', ddl: () => 'alter table agent add column kept_settings varchar(255)' },
	{
		// Where several clients have one address in different letters, one of them takes the lower case and the others stay as they are.
		name: 'client-email-lower',
		ddl: () => `update client set email = lower(email) where email <> lower(email) and id in (select id from (
			select min(id) as id from client where email is not null group by lower(email)
			having max(case when email = lower(email) then 1 else 0 end) = 0) as firsts)`,
	},
];
