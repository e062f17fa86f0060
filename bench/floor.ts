// The floor: bare Fastify in a process of its own, which reads the same requests and answers constants as long as ours.
import fastify from 'fastify';

/** What the floor answers on each route, as text of a JSON object. */
export type FloorAnswers = {
	readonly heartbeat: string;
	readonly poll: string;
	readonly pricing: string;
	/** To a termination notice; absent where none is sent. */
	readonly notice?: string;
};

process.once('message', async (answers: FloorAnswers) => {
	const app = fastify();
	const heartbeat: unknown = JSON.parse(answers.heartbeat);
	const poll: unknown = JSON.parse(answers.poll);
	const pricing: unknown = JSON.parse(answers.pricing);
	app.post('/api/agents/:agent_id/heartbeat', () => heartbeat);
	app.get('/api/agents/:agent_id/pending-commands', () => poll);
	app.post('/api/agents/:agent_id/pricing-report', () => pricing);
	app.get('/api/agents/:agent_id/:list', () => poll);
	if (answers.notice !== undefined) {
		const notice: unknown = JSON.parse(answers.notice);
		app.post('/api/agents/:agent_id/termination-imminent', () => notice);
	}
	process.send?.(await app.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }));
});
process.once('disconnect', () => process.exit());
