import { Command } from 'commander';
import type { Context } from './context.ts';

/** The topics of `spotctl help`, with a line about each. */
export const TOPICS: Readonly<Record<string, string>> = {
	environment: 'variables that spotctl reads',
	'exit-codes': 'what the exit code of a command means',
	output: 'formats, pipes, colour and --quiet',
};

/** `help`: a topic, or the help of a command. `show` prints the help of a command named by its words. */
export const helpCommand = (context: Context, show: (words: readonly string[]) => void): Command =>
	new Command('help')
		.description('Help about a command or a topic (environment, exit-codes, output)')
		.argument('[words...]', 'a topic, or the words of a command')
		.addHelpText('after', '\nExample:\n  $ spotctl help exit-codes\n  $ spotctl help instances switch')
		.action(async (words: string[]) => {
			const [topic = ''] = words;
			if (words.length !== 1 || !Object.hasOwn(TOPICS, topic)) return show(words);
			const { topicText } = await import('./topics.ts');
			await context.print.text(topicText(topic));
		});
