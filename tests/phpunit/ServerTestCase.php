<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Missed;
use PHPUnit\Framework\TestCase;
use Throwable;

/** A test with real servers: they are stopped at its end, and what they logged is shown when it failed. */
abstract class ServerTestCase extends TestCase
{
    /** @var list<Server> */
    private array $servers = [];
    /** @var list<CommandLine> */
    private array $commandLines = [];
    private string $logs = '';

    protected function tearDown(): void
    {
        foreach ($this->servers as $server) {
            $this->logs .= $this->hasFailed() ? $server->logs() : '';
            $server->stop();
            $server->folder->remove();
        }
        foreach ($this->commandLines as $commandLine) {
            $this->logs .= $this->hasFailed() ? $commandLine->logs() : '';
            $commandLine->stop();
            $commandLine->folder->remove();
        }
        $this->servers = $this->commandLines = [];
    }

    protected function onNotSuccessfulTest(Throwable $failure): void
    {
        if ($this->logs !== '') {
            fwrite(STDERR, "\n=== logs of {$this->getName()}\n{$this->logs}\n");
        }
        // A condition that did not come true is a failed assertion.
        if ($failure instanceof Missed) {
            self::fail($failure->getMessage() . "\n" . $failure->getTraceAsString());
        }

        throw $failure;
    }

    /**
     * Starts a server of the catalogue.
     *
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    protected function serve(string $name, array $ini = [], array $options = []): Server
    {
        $server = Catalogue::make($name, $ini, $options);
        $this->servers[] = $server;

        return $server->start();
    }

    /**
     * PHP programs on the command line, with a hub of their own.
     *
     * @param array<string, string|int> $settings
     */
    protected function commandLine(array $settings = []): CommandLine
    {
        return $this->commandLines[] = new CommandLine($settings);
    }
}
