<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;
use RuntimeException;

/** HAProxy in front of several machines, with the lines of the manual and its socket for administrators. */
final class Haproxy
{
    public readonly int $port;
    private readonly TempFolder $folder;
    private readonly Process $process;
    private readonly string $socket;

    /**
     * @param list<Server> $machines  web1, web2, … of the backend site
     * @param int          $streams   how many at once
     */
    public function __construct(array $machines, int $streams)
    {
        $this->folder = new TempFolder();
        $this->port = Port::free();
        $this->socket = "{$this->folder->path}/admin.sock";
        ['haproxy' => [$defaults]] = Page::blocks('docs/operations/behind-a-proxy.md', 'HAProxy');
        $connections = 2 * $streams + 1000;
        $servers = '';
        foreach ($machines as $number => $machine) {
            $servers .= sprintf("    server web%d 127.0.0.1:%d\n", $number + 1, $machine->port);
        }
        $file = $this->folder->file('haproxy.cfg', <<<CONF
            global
                maxconn $connections
                stats socket $this->socket level admin

            $defaults
                timeout connect 5s

            frontend outer
                bind 127.0.0.1:$this->port
                maxconn $connections
                default_backend site

            backend site
                balance leastconn
            $servers

            CONF);
        $path = $this->folder->path;
        $this->process = new Process(['haproxy', '-db', '-f', $file], "$path/haproxy.out", [], $path, 'haproxy');
        Deadline::until(fn (): bool => Port::answers($this->port), 10.0, 'HAProxy answers', $this->process->output(...));
    }

    /** Says whether it is to send new requests to a machine: `drain`, `ready`. */
    public function set(int $machine, string $state): void
    {
        $name = sprintf('site/web%d', $machine + 1);
        if ($this->ask("set server $name state $state") !== '') {
            throw new RuntimeException("HAProxy did not set $name to $state");
        }
    }

    /** Requests and streams that it has open at a machine. */
    public function sessions(int $machine): int
    {
        $name = sprintf('web%d', $machine + 1);
        foreach (explode("\n", $this->ask('show stat')) as $line) {
            $fields = explode(',', $line);
            if (($fields[1] ?? '') === $name) {
                return (int) $fields[4];
            }
        }

        throw new RuntimeException("HAProxy knows no machine $name");
    }

    public function stop(): void
    {
        $this->process->stop();
        $this->folder->remove();
    }

    /** What its socket for administrators answers. */
    public function ask(string $command): string
    {
        $socket = stream_socket_client("unix://$this->socket", $code, $message, 5.0);
        if ($socket === false) {
            throw new RuntimeException("HAProxy's socket: $message");
        }
        fwrite($socket, "$command\n");

        return trim((string) stream_get_contents($socket));
    }
}
