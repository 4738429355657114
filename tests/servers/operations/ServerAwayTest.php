<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Certificate;
use PhpSse\Tests\Server\NginxFpm;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;
use PhpSse\Tests\Support\Proc;

/** What a web server does for its streams while PHP restarts, with the lines of the manual, and when it has a new certificate. */
final class ServerAwayTest extends ServerTestCase
{
    private ?TempFolder $certificates = null;

    protected function tearDown(): void
    {
        parent::tearDown();
        $this->certificates?->remove();
    }

    public function testNginxTellsClientsWhenToComeBackWhilePhpIsAway(): void
    {
        $server = $this->nginx(['sse.max_streams' => 1], self::whilePhpIsAway());
        $stream = $server->client->openOne('/stream.php?topics=news');
        [$id] = $server->publish('news', 'before');

        $this->assertTellsWhenToComeBack($server->client->request('/stream.php?topics=news'), 'PHP has said 503');
        $server->stopFpm();
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream ends');
        $this->assertTellsWhenToComeBack($server->client->request('/stream.php?topics=news', ['Last-Event-ID' => $id]), 'PHP is away');
        $server->startFpm();

        $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);
        $server->publish('news', 'after');
        $server->client->await($stream, static fn (Stream $stream): bool => in_array('after', $stream->data(), true), 10.0, 'it goes on');
    }

    private function assertTellsWhenToComeBack(Response $response, string $when): void
    {
        self::assertSame([200, 'text/event-stream'], [$response->status, $response->headers['content-type'] ?? null], $when);
        self::assertSame('no-cache', $response->headers['cache-control'] ?? null);
        self::assertMatchesRegularExpression('/^retry: (2000|3500|5000|6500|8000)\n\n$/D', $response->body);
    }

    /** @return array<string, string> */
    private static function whilePhpIsAway(): array
    {
        ['nginx' => [$http, $location, $server]] = Page::blocks('docs/operations/servers.md', 'While PHP is away');

        return ['http' => $http, 'directive' => $location, 'locations' => $server];
    }

    /** @return array<string, array{string, int}> */
    public static function limits(): array
    {
        return ['nginx has no limit' => ['', 0], 'it ends its old processes' => ['worker_shutdown_timeout 1s;', 1]];
    }

    /** @dataProvider limits */
    public function testANewCertificateLosesNoEvent(string $main, int $ends): void
    {
        $this->certificates = new TempFolder();
        $certificate = new Certificate($this->certificates);
        $first = openssl_x509_fingerprint("file://$certificate->file", 'sha256');
        $port = Port::free();
        $server = $this->nginx([], [
            'main' => $main,
            'locations' => "listen 127.0.0.1:$port ssl; ssl_certificate $certificate->file; ssl_certificate_key $certificate->key;",
        ]);
        $client = new Client("https://127.0.0.1:$port");
        $stream = $client->openOne('/stream.php?topics=news');
        $server->publish('news', 'before');
        $client->awaitEvents($stream, 1);
        self::assertSame($first, self::presented($port));
        $old = Proc::children($server->nginx()[0]);

        $second = openssl_x509_fingerprint('file://' . (new Certificate($this->certificates))->file, 'sha256');
        $server->reloadNginx();

        Deadline::until(static fn (): bool => self::presented($port) === $second, 10.0, 'nginx presents the new certificate');
        if ($ends === 1) {
            $client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'nginx ends the stream');
        }
        $server->publish('news', 'after');
        if ($ends === 1) {
            $last = $stream->parser->events[0]->id;
            $stream = $client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $last]);
            self::assertSame(['after'], $client->awaitEvents($stream, 1));
        } else {
            self::assertSame(['before', 'after'], $client->awaitEvents($stream, 2));
            self::assertNotSame([], array_intersect($old, Proc::children($server->nginx()[0])), 'the old process has the stream');
        }
        self::assertSame(1 + $ends, $server->stats()['streams']['opened']);
    }

    /** The fingerprint of the certificate that a new connection gets. */
    private static function presented(int $port): string
    {
        $context = stream_context_create(['ssl' => ['verify_peer' => false, 'verify_peer_name' => false, 'capture_peer_cert' => true]]);
        $socket = stream_socket_client("tls://127.0.0.1:$port", $code, $message, 20.0, STREAM_CLIENT_CONNECT, $context);
        self::assertNotFalse($socket, $message);
        $certificate = stream_context_get_params($socket)['options']['ssl']['peer_certificate'];

        return (string) openssl_x509_fingerprint($certificate, 'sha256');
    }

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    private function nginx(array $ini, array $options): NginxFpm
    {
        $server = $this->serve('nginx-fpm-unix', $ini, $options);
        self::assertInstanceOf(NginxFpm::class, $server);

        return $server;
    }
}
