<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Drain;

/** `sse drain --over=30s`: ends the streams of this machine one after the other, before it is taken out of service. */
final class DrainCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'drain',
            'end the streams of this machine, spread over a time, before its hub or the machine is stopped',
            options: [
                'over=TIME' => 'the time, as 45s, 5m or 500ms; 30s otherwise',
                'retry=MS' => 'tell the clients to come back after so many milliseconds',
            ],
            help: "First tell the load balancer to send nothing new here: clients come back at once, and resume.\n"
                . 'Ends with 1 if streams are left, as when new ones keep coming.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        $over = $input->milliseconds('over') ?? 30_000;
        $retry = $input->number('retry', 0);
        RunningHub::require();
        $drain = Drain::run($over / 1000, $retry);
        if ($output->json) {
            $output->json(['ended' => $drain->ended, 'left' => $drain->left, 'seconds' => round($drain->seconds, 3)]);
        } else {
            $output->line(sprintf('%d ended in %.1f s, %d left', $drain->ended, $drain->seconds, $drain->left));
            if ($drain->left > 0) {
                $output->line('  clients still come here: does the load balancer know that this machine is to get none?');
            }
        }

        return $drain->left === 0 ? 0 : Program::FAILED;
    }
}
