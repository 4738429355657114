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
            $this->logs .= $this->isUnsuccessful() ? $server->logs() : '';
            $server->stop();
            $server->folder->remove();
        }
        foreach ($this->commandLines as $commandLine) {
            $this->logs .= $this->isUnsuccessful() ? $commandLine->logs() : '';
            $commandLine->stop();
            $commandLine->folder->remove();
        }
        $this->servers = $this->commandLines = [];
    }

    /** PHPUnit 9 and 10 name these questions differently. */
    private function label(): string
    {
        return method_exists($this, 'nameWithDataSet') ? $this->nameWithDataSet() : $this->getName();
    }

    private function isUnsuccessful(): bool
    {
        if (method_exists($this, 'hasFailed')) {
            return $this->hasFailed();
        }

        return $this->status()->isFailure() || $this->status()->isError();
    }

    protected function onNotSuccessfulTest(Throwable $t): never
    {
        if ($this->logs !== '') {
            fwrite(STDERR, "\n=== logs of {$this->label()}\n{$this->logs}\n");
        }
        // A condition that did not come true is a failed assertion.
        if ($t instanceof Missed) {
            self::fail($t->getMessage() . "\n" . $t->getTraceAsString());
        }

        throw $t;
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

    /** A stream's bytes without the newest id, with which it begins: the hub's own, and another each time. */
    protected static function withoutCursor(string $body): string
    {
        return (string) preg_replace('/^(retry: \d+\n)id: \d{13}-\d+\n/', '$1', $body);
    }

    /**
     * PHP programs on the command line, with a hub of their own.
     *
     * @param array<string, string|int> $settings
     * @param bool $isPolyfill whether they have the library's polyfill in place of the extension
     */
    protected function commandLine(array $settings = [], bool $isPolyfill = false): CommandLine
    {
        return $this->commandLines[] = new CommandLine($settings, $isPolyfill);
    }
}
