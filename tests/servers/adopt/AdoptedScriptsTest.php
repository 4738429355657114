<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\AdoptedSite;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** The five ways in which people write event streams in PHP, unmodified, with sse.adopt=1. */
final class AdoptedScriptsTest extends ServerTestCase
{
    // Of php -S the one with several processes: a script that stays in its worker leaves none to a single one.
    private const SERVERS = ['nginx-fpm-unix', 'nginx-fpm-tcp-keep', 'apache-mod-php', 'php-s-workers'];

    /** @var list<AdoptedSite> */
    private array $sites = [];

    protected function tearDown(): void
    {
        foreach ($this->sites as $site) {
            $site->stop();
        }
        parent::tearDown();
    }

    /** @return iterable<string, array{string, string}> */
    public static function scripts(): iterable
    {
        foreach (self::SERVERS as $server) {
            foreach (AdoptedSite::SCRIPTS as $script) {
                yield "$server, $script" => [$server, $script];
            }
        }
    }

    /** @dataProvider scripts */
    public function testAWrittenChangeComesAtOnceAndNotAtTheNextPoll(string $name, string $script): void
    {
        [$server, $site] = $this->site($name);
        $stream = $server->client->open($site->path($script));
        $server->client->read(0.05);

        // Written right after a poll, so that the next one would bring it after all the time between two. A busy machine may
        // be late with a wake now and then, and never makes a poll come sooner.
        $tries = 0;
        do {
            $first = $site->awaitQuery();
            $second = $site->awaitQuery();
            $text = $site->write($script, 'something new ' . ++$tries);
            $site->wake();
            $seconds = $site->awaitText($stream, $text);
        } while ($seconds >= ($second - $first) / 2 && $tries < 10);

        self::assertLessThan(($second - $first) / 2, $seconds, 'it took no half of the time between two polls');
    }

    /** @dataProvider scripts */
    public function testTheLoopEndsWhenTheClientHasLeft(string $name, string $script): void
    {
        [$server, $site] = $this->site($name, ['sse.heartbeat' => 0]);
        $stream = $server->client->open($site->path($script));
        $server->client->read(0.05);
        // A process of php -S that has not begun with it may take the next request as well, and keep that waiting.
        Deadline::until(static fn (): bool => $site->queries() > 0, 10.0, 'the script runs');
        $server->awaitOpenStreams(1);

        $stream->close();

        $server->awaitOpenStreams(0);
        $after = $site->queries();
        self::assertSame(200, $server->client->request('/hello.php')->status);
        self::assertSame($after, $site->queries());
    }

    /** @dataProvider scripts */
    public function testOtherRequestsOfTheVisitorAreAnsweredMeanwhile(string $name, string $script): void
    {
        [$server, $site] = $this->site($name);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $stream = $server->client->open($site->path($script), $cookie);
        $server->client->read(0.05);
        $site->awaitQuery();
        $site->awaitText($stream, $site->write($script, 'something new'));

        self::assertSame('{"visits":1}', $server->client->request('/session.php', $cookie)->body);
        self::assertFalse($stream->ended);
    }

    public function testABrowserThatComesBackGetsWhatItMissed(): void
    {
        [$server, $site] = $this->site('nginx-fpm-unix');
        $stream = $server->client->open($site->path('sqlite-since'));
        $site->write('sqlite-since', 'one');
        $site->awaitText($stream, 'one');
        $stream->close();

        $site->write('sqlite-since', 'two');
        $again = $server->client->open($site->path('sqlite-since'), ['Last-Event-ID' => $stream->parser->events[0]->id]);
        $site->awaitText($again, 'two');

        self::assertSame(['{"text":"two"}'], $again->data());
    }

    /**
     * @param array<string, string|int> $ini
     * @return array{Server, AdoptedSite}
     */
    private function site(string $name, array $ini = []): array
    {
        $udp = '127.0.0.1:' . Port::free('udp');
        $server = $this->serve(
            $name,
            $ini + ['sse.adopt' => 1, 'sse.adopt_topics' => '*=**', 'sse.udp' => $udp],
            ['modules' => AdoptedSite::MODULES],
        );
        $this->sites[] = $site = new AdoptedSite($server, $udp);

        return [$server, $site];
    }
}
