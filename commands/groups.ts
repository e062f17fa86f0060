import type { Command } from 'commander';
import type { Context } from './context.ts';

/** A noun with its commands, loaded when it is needed. */
export type Group = { readonly name: string; readonly summary: string; readonly load: () => Promise<(context: Context) => Command> };

export const GROUPS: readonly Group[] = [
	{ name: 'clients', summary: 'Tenants, who own agents and tokens', load: async () => (await import('./clients/index.ts')).clientsCommand },
	{
		name: 'tokens',
		summary: 'Tokens of clients, which their agents send',
		load: async () => (await import('./tokens/index.ts')).tokensCommand,
	},
	{ name: 'admin-tokens', summary: 'Tokens of operators', load: async () => (await import('./admin-tokens/index.ts')).adminTokensCommand },
	{ name: 'agents', summary: 'Agents and their settings', load: async () => (await import('./agents/index.ts')).agentsCommand },
	{ name: 'instances', summary: 'Machines, and switching them', load: async () => (await import('./instances/index.ts')).instancesCommand },
	{ name: 'replicas', summary: 'Standby machines of agents', load: async () => (await import('./replicas/index.ts')).replicasCommand },
	{
		name: 'emergencies',
		summary: 'Machines lost or taken back, and how their agents move',
		load: async () => (await import('./emergencies/index.ts')).emergenciesCommand,
	},
	{ name: 'commands', summary: 'Orders to agents', load: async () => (await import('./commands/index.ts')).commandsCommand },
	{
		name: 'savings',
		summary: 'What was saved, and how it is known',
		load: async () => (await import('./savings/index.ts')).savingsCommand,
	},
	{ name: 'history', summary: 'What has happened', load: async () => (await import('./history/index.ts')).historyCommand },
	{ name: 'jobs', summary: 'Background work of the daemons', load: async () => (await import('./jobs/index.ts')).jobsCommand },
	{
		name: 'retention',
		summary: 'Deleting what is old',
		load: async () => (await import('./retention/index.ts')).retentionCommand,
	},
	{ name: 'config', summary: 'The configuration in force', load: async () => (await import('./config/index.ts')).configCommand },
	{ name: 'db', summary: 'The database: schema and integrity', load: async () => (await import('./db/index.ts')).dbCommand },
];
