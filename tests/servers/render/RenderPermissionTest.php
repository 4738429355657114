<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** Who may have a stream is asked again with each replay, and what it gets. */
final class RenderPermissionTest extends RenderTestCase
{
    private const SESSION = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'apache-fcgi', 'caddy-fpm', 'php-s-workers']);
    }

    /** @dataProvider servers */
    public function testAPageThatRefusesEndsItsStream(string $name): void
    {
        $server = $this->serve($name);
        $answers = ['401', '403', '404', '410', '302', '400', '422', '200', '204'];
        $streams = [];
        foreach ($answers as $answer) {
            $path = "/replay/page.php?topics=news&callback=value&gate=gate-$answer";
            $streams[$answer] = $server->client->openOne($path);
            $server->client->awaitEvents($streams[$answer], 1);
        }
        $other = $server->client->openOne('/replay/page.php?topics=news&callback=value');

        foreach ($answers as $answer) {
            $this->tell($server, "gate-$answer", $answer);
        }
        $server->publish('news', 'secret');

        self::assertSame(['first', 'secret'], $server->client->awaitEvents($other, 2));
        foreach ($answers as $answer) {
            $this->awaitCleanEnd($server, $streams[$answer]);
            self::assertSame(['first'], $streams[$answer]->data(), $answer);
            $path = "/replay/page.php?topics=news&callback=value&gate=gate-$answer";
            self::assertSame((int) $answer, $server->client->request($path)->status);
        }
        $server->awaitOpenStreams(1);
        // 204 says that the stream is over for good.
        $server->awaitClosed('finished', 1);
        $server->awaitClosed('denied', count($answers) - 1);
        self::assertSame(count($answers) - 1, $server->stats()['renders']['denied']);
        self::assertTrue($other->isOpen(), $other->summary());
    }

    /** @dataProvider servers */
    public function testAPageThatFailsKeepsItsStreamAndIsAskedAgain(string $name): void
    {
        $server = $this->serve($name);
        $answers = ['500', '503', '429', 'throw', 'fatal'];
        $streams = [];
        foreach ($answers as $answer) {
            $path = "/replay/page.php?topics=news&callback=events&runs=runs-$answer&gate=gate-$answer";
            $streams[$answer] = $server->client->openOne($path);
            $server->client->awaitEvents($streams[$answer], 1);
        }
        foreach ($answers as $answer) {
            $this->tell($server, "gate-$answer", $answer);
        }

        $ids = $server->publish('news', 'kept');
        Deadline::until(
            static fn (): bool => $server->stats()['renders']['failed'] >= 2 * count($answers),
            20.0,
            'each has failed twice',
            static fn (): string => json_encode($server->stats()['renders'], JSON_THROW_ON_ERROR),
        );
        foreach ($answers as $answer) {
            $this->tell($server, "gate-$answer", '');
        }

        foreach ($streams as $answer => $stream) {
            $server->client->awaitEvents($stream, 2);
            self::assertSame($ids, array_column(self::decoded($stream)[1], 'id'), "what happened before the $answer");
            self::assertSame(['original', 'retry'], $this->awaitRuns($server, 2, "runs-$answer"));
        }
        self::assertSame(count($answers), $server->openStreams());
        self::assertSame(0, $server->stats()['streams']['closed']['denied']);
    }

    public function testAResponseThatTheScriptFinishesItselfIsItsDecisionAsWell(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $open = function (string $answer) use ($server): Stream {
            $stream = $server->client->openOne("/replay/page.php?topics=news&callback=value&finish=end-$answer&gate=gate-$answer");
            $server->client->awaitEvents($stream, 1);
            $this->tell($server, "gate-$answer", $answer);

            return $stream;
        };
        $fails = $open('500');

        // The first replay that this server ever gets.
        $this->trigger($server, 'news');
        $failed = static fn (): bool => $server->stats()['renders']['failed'] > 0;
        Deadline::until($failed, 10.0, 'the render has failed');
        $this->tell($server, 'end-500', 'yes');
        $refuses = $open('422');
        $this->trigger($server, 'news');

        $this->awaitCleanEnd($server, $refuses);
        $server->awaitClosed('denied', 1);
        self::assertTrue($fails->isOpen());
        $this->tell($server, 'gate-500', '');
        $this->tell($server, 'end-422', 'yes');
        $server->publish('news', 'kept');
        self::assertSame(['first', 'kept'], $server->client->awaitEvents($fails, 2));
    }

    /** @dataProvider servers */
    public function testAUserWhoHasLoggedOutLosesTheStreamAtTheNextWake(string $name): void
    {
        $server = $this->serve($name);
        foreach (['logout', 'destroy'] as $nth => $way) {
            $server->client->request('/replay/session.php?do=login', self::SESSION);
            $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value&session=1', self::SESSION);
            $server->publish('news', "in time for $way");
            $server->client->awaitEvents($stream, 2);

            $server->client->request("/replay/session.php?do=$way", self::SESSION);
            self::assertTrue($stream->isOpen(), 'nothing woke it yet');
            $server->publish('news', 'too late');

            $this->awaitCleanEnd($server, $stream);
            self::assertSame(['first', "in time for $way"], $stream->data());
            $again = $server->client->request('/replay/page.php?topics=news&session=1', self::SESSION);
            self::assertSame(403, $again->status);
            $server->awaitOpenStreams(0);
            $server->awaitClosed('denied', $nth + 1);
        }
    }

    /** @dataProvider servers */
    public function testADeletedSessionEndsTheStreamAtTheNextWake(string $name): void
    {
        $server = $this->serve($name);
        $server->client->request('/replay/session.php?do=login', self::SESSION);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value&session=1', self::SESSION);
        $server->client->awaitEvents($stream, 1);

        self::assertCount(1, array_map('unlink', glob("{$server->folder->path}/sessions/sess_*")));
        $this->trigger($server, 'news');

        $this->awaitCleanEnd($server, $stream);
        self::assertSame(['first'], $stream->data());
    }

    /** @dataProvider servers */
    public function testTheTopicsAreThoseOfTheLastReplay(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=before,always&callback=value');
        $this->tell($server, 'topics', 'after,always');
        $server->publish('before', 'one');
        $server->client->awaitEvents($stream, 2);

        $server->publish('before', 'not watched any more');
        $this->trigger($server, 'before');
        $server->publish('after', 'two');
        $server->client->awaitEvents($stream, 3);
        $this->tell($server, 'topics', 'last');
        $server->publish('always', 'three');
        $server->client->awaitEvents($stream, 4);
        $server->publish('after', 'not watched either');
        $server->publish('last', 'four');

        self::assertSame(['first', 'one', 'two', 'three', 'four'], $server->client->awaitEvents($stream, 5));
        self::assertCount(5, $this->told($server));
    }

    /** @dataProvider servers */
    public function testAStreamWithoutCallbackCanBeAskedAboutAsWell(string $name): void
    {
        $server = $this->serve($name);
        $server->client->request('/replay/session.php?do=login', self::SESSION);
        $stream = $server->client->openOne(
            '/replay/page.php?topics=before&callback=none&session=1&reauthorize=1',
            self::SESSION,
        );
        $server->publish('before', 'one');
        $server->client->awaitEvents($stream, 1);

        $this->tell($server, 'topics', 'after');
        $asked = count($this->told($server, 'requests'));
        $reasons = $this->awaitRuns($server, $asked + 1, 'requests');
        self::assertSame(['reauthorize'], array_unique(array_slice($reasons, 1)));
        // The request after the next has begun, so the one before is done with.
        $this->awaitRuns($server, $asked + 2, 'requests');
        $server->publish('before', 'not watched any more');
        $server->publish('after', 'two');
        self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));

        $server->client->request('/replay/session.php?do=logout', self::SESSION);
        $this->awaitCleanEnd($server, $stream);
        self::assertSame(['one', 'two'], $stream->data());
        $server->awaitOpenStreams(0);
        $server->awaitClosed('denied', 1);
    }

    /** @dataProvider servers */
    public function testACallbackThatIsNotWokenIsAskedAboutAndRunsWithoutEvents(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=events&reauthorize=1&only_changes=0');
        $server->client->awaitEvents($stream, 2);
        self::assertSame([[], []], self::decoded($stream));
        self::assertSame(['original', 'reauthorize'], $this->awaitRuns($server, 2));

        $this->tell($server, 'gate', '403');

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
    }
}
