<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Server;

/** health.php and `sse health`: ready, live, and why not. */
final class EndpointHealthTest extends EndpointTestCase
{
    private const PATH = '/sse/health.php';

    public function testASiteWithRoomIsReadyAndAFullOneIsNot(): void
    {
        $server = $this->serveSite('php-s-workers', ['sse.max_streams' => 1]);

        self::assertSame([200, '{"live":true,"ready":true,"reasons":[]}'], self::ask($server));
        self::assertSame(405, $server->client->request(self::PATH, [], 'POST')->status);
        $server->client->openOne('/stream.php?topics=news');
        $server->awaitOpenStreams(1);
        self::assertSame([503, '{"live":true,"ready":false,"reasons":["full"]}'], self::ask($server));
        self::assertSame(200, self::ask($server, '?probe=live')[0]);
        self::assertStringContainsString('health.php: 1 streams are open, and there is room for 1', $server->phpLog());
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);
        self::assertStringStartsWith('live, but not ready', $commandLine->run(CommandLine::sse(), ['health'], [], [], 1));
        self::assertStringStartsWith('live, but not ready', $commandLine->run(CommandLine::sse(), ['health', '--live']));
    }

    public function testASiteWithoutItsRedisIsLiveOnly(): void
    {
        $server = $this->serveSite('php-s', ['sse.bus' => 'redis://me:secret@127.0.0.1:' . Port::free()]);

        [$status, $body] = self::ask($server);

        self::assertSame([503, '{"live":true,"ready":false,"reasons":["bus"]}'], [$status, $body]);
        self::assertStringNotContainsString('secret', $server->phpLog());
    }

    public function testASiteThatMayStartNoHubIsNotLive(): void
    {
        $server = $this->serveSite('php-s', ['sse.spawn' => 'off']);

        self::assertSame([503, '{"live":false,"ready":false,"reasons":["hub"]}'], self::ask($server));
        self::assertSame(503, self::ask($server, '?probe=live')[0]);
        self::assertStringContainsString('health.php: no hub runs at', $server->phpLog());
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);
        self::assertStringStartsWith('not live', $commandLine->run(CommandLine::sse(), ['health', '--live'], [], [], 1));
    }

    /** The attack: whoever may ask fills the disk with lines of the log. */
    public function testManyQuestionsAreOneLineOfTheLog(): void
    {
        $server = $this->serveSite('php-s-workers', ['sse.spawn' => 'off']);

        for ($question = 0; $question < 20; $question++) {
            self::assertSame(503, self::ask($server)[0]);
        }

        self::assertSame(1, substr_count($server->phpLog(), 'health.php: '), $server->phpLog());
    }

    /** In a page of the web server, where phpinfo() is HTML. */
    public function testAnAdministratorsPageHasWhatTheDoctorFinds(): void
    {
        $server = $this->serveSite('nginx-fpm-unix', ['sse.detach' => 'off']);
        $server->folder->file('app/admin.php', <<<'PHP'
            <?php
            require __DIR__ . '/vendor/autoload.php';
            sse_cursor();
            echo json_encode(['health' => sse_health(), 'found' => sse_doctor()]);
            PHP);

        ['health' => $health, 'found' => $found] = $server->json('/admin.php');

        self::assertSame(['live' => true, 'ready' => true, 'reasons' => []], $health);
        $found = array_column($found, 'message', 'id');

        self::assertSame(['version', 'detach-off', 'hub'], array_keys($found));
        self::assertStringStartsWith("the hub at {$server->socket()} runs: process {$server->hub()} of user ", $found['hub']);
    }

    /** @return array{int, string} */
    private static function ask(Server $server, string $query = ''): array
    {
        $answer = $server->client->request(self::PATH . $query);

        return [$answer->status, $answer->body];
    }
}
