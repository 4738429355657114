<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;

/**
 * sse.adopt where opcache's JIT keeps addresses of PHP's own functions in memory that all workers share: one pool of FPM has
 * sse.adopt on, the other has not.
 */
final class AdoptJitTest extends ServerTestCase
{
    protected function setUp(): void
    {
        if (!Php::hasModule('opcache') && !function_exists('opcache_get_status')) {
            self::markTestSkipped('opcache: there is none');
        }
    }

    /** @return array<string, array{string}> */
    public static function modes(): array
    {
        return ['function' => ['function'], 'tracing' => ['tracing']];
    }

    /** @dataProvider modes */
    public function testWhatOnePoolHasCompiledSleepsInTheOther(string $mode): void
    {
        $server = $this->pools($mode);
        for ($i = 0; $i < 3; $i++) {
            self::assertSame(['slept' => 100, 'adopt' => true], $this->napped($server, '/other/adopt/nap.php'));
        }
        self::assertSame(['slept' => 100, 'adopt' => false], $this->napped($server, '/adopt/nap.php'));
    }

    /** @dataProvider modes */
    public function testWhatThePoolWithoutHasCompiledIsWokenInTheOther(string $mode): void
    {
        $server = $this->pools($mode);
        for ($i = 0; $i < 3; $i++) {
            $server->client->request('/adopt/hot.php?for=1');
        }
        $stream = $server->client->open('/other/adopt/hot.php?for=3600000000');
        $server->client->awaitEvents($stream, 1);
        self::assertSame(['taken' => true], $server->json('/trigger.php?topic=any.topic'));

        // A wake ends the sleep of an hour.
        $server->client->awaitEvents($stream, 2);
        self::assertSame("data: before\n\ndata: after\n\n", $stream->response->body);
    }

    /** @dataProvider modes */
    public function testADisabledFunctionStaysDisabled(string $mode): void
    {
        $server = $this->pools($mode, ['disable_functions' => 'usleep']);
        foreach (['/other/adopt/nap.php', '/adopt/nap.php'] as $path) {
            self::assertSame(500, $server->client->request($path)->status);
            self::assertStringContainsString('Call to undefined function usleep()', $server->phpLog());
        }
    }

    /** @param array<string, string> $ini */
    private function pools(string $mode, array $ini = []): Server
    {
        $jit = [
            'opcache.jit' => $mode,
            'opcache.jit_buffer_size' => '16M',
            'opcache.jit_hot_func' => 5,
            'opcache.jit_hot_loop' => 5,
            'sse.adopt' => 0,
            'sse.adopt_topics' => '*=**',
            // Files are cached although they are new.
            'opcache.file_update_protection' => 0,
        ];

        return $this->serve('nginx-fpm-unix', $jit + $ini, ['other' => 'sse.adopt=1', 'pm.max_children' => 1]);
    }

    /** @return array<string, mixed> */
    private function napped(Server $server, string $path): array
    {
        $answer = $server->json($path);
        if (!$answer['jit']) {
            self::markTestSkipped('jit: opcache has none here');
        }
        unset($answer['jit']);

        return $answer;
    }
}
