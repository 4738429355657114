<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse disconnect --user=bob`: ends open streams. */
final class DisconnectCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'disconnect',
            'end the streams of a user or a topic, or one of them',
            [],
            [
                'user=USER' => 'of this user, on all machines',
                'topic=TOPIC' => 'that watch this topic, on all machines',
                'stream=ID' => 'the one with this id: `sse streams` lists them',
                'retry=MS' => 'tell the clients to come back after so many milliseconds',
            ],
            'Clients come back by themselves, and resume: whoever is not to must be refused by the script.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        $whom = array_filter(
            ['user' => $input->option('user'), 'topic' => $input->option('topic'), 'stream' => $input->option('stream')],
            static fn (?string $value): bool => $value !== null,
        );
        if (count($whom) !== 1) {
            throw new UsageError('name one of --user, --topic and --stream');
        }
        RunningHub::require();
        $ended = \sse_disconnect(...[...$whom, 'retry' => $input->number('retry', 0)]);
        if ($output->json) {
            $output->json(['ended' => $ended]);
        } else {
            $output->line($ended === null ? 'asked for' : "$ended ended");
        }

        return 0;
    }
}
