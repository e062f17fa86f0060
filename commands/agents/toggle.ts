import type { Context } from '../context.ts';

/** Turns an agent on or off, and says so. */
export const runToggle = async (context: Context, agent: string, enabled: boolean): Promise<void> => {
	const api = await context.api();
	const data = await api.toggleAgent({ agent_id: agent, enabled });
	await context.print.one({
		data,
		id: agent,
		fields: [
			{ title: 'Enabled', value: (answer) => answer.enabled },
			{ title: 'Config version', value: ({ config_version }) => config_version },
		],
		note: `agent ${JSON.stringify(agent)} is ${data.enabled ? 'enabled' : 'disabled'}; it learns of it within a minute`,
	});
};
