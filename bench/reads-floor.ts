// The floor of reads: bare Fastify in a process of its own that answers what ours answered, as an object it has to write as text each time.
import fastify from 'fastify';

/** JSON texts by their number; each is answered at `/<number>`. */
export type ReadAnswers = readonly string[];

process.once('message', async (answers: ReadAnswers) => {
	const app = fastify();
	for (const [number, text] of answers.entries()) {
		const answer: unknown = JSON.parse(text);
		app.get(`/${number}`, () => answer);
	}
	process.send?.(await app.listen({ host: '127.0.0.1', port: 0 }));
});
process.once('disconnect', () => process.exit());
