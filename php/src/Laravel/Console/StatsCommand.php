<?php

declare(strict_types=1);

namespace Sse\Laravel\Console;

use Illuminate\Console\Command;
use Sse\Console\Figures;
use SseException;
use Symfony\Component\Console\Output\OutputInterface;

/** `php artisan sse:stats`: the figures of the hub, see sse_stats(). It has to run as the web server's user. */
final class StatsCommand extends Command
{
    /** @var string */
    protected $signature = 'sse:stats {--json : as sse_stats() has them}';

    /** @var string */
    protected $description = "The figures of php-sse's hub";

    public function handle(): int
    {
        try {
            $stats = \sse_stats(false);
        } catch (SseException $problem) {
            $this->error($problem->getMessage());

            return self::FAILURE;
        }
        if ((bool) $this->option('json')) {
            $this->output->writeln(json_encode($stats, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), OutputInterface::OUTPUT_RAW);

            return self::SUCCESS;
        }
        $this->table(['figure', 'value'], Figures::rows($stats));

        return self::SUCCESS;
    }
}
