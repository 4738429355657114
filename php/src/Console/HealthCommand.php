<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Health;

/** `sse health`: whether streams can be opened here, for a probe of a container. */
final class HealthCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'health',
            'whether streams can be opened here and what is published arrives',
            options: ['live' => 'only whether a hub answers', 'start' => 'start a hub if none runs'],
            help: 'Ends with 1 if not: for the probes of a container.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        $health = Health::check($input->has('start'));
        $isWell = $input->has('live') ? $health->live : $health->ready;
        if ($output->json) {
            $output->json(['live' => $health->live, 'ready' => $health->ready, 'reasons' => (object) $health->reasons]);
        } else {
            $output->line($health->ready ? 'ready' : ($health->live ? 'live, but not ready' : 'not live'));
            foreach ($health->reasons as $name => $why) {
                $output->line("  $name: " . Output::safe($why));
            }
        }

        return $isWell ? 0 : Program::FAILED;
    }
}
