<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** What the hub keeps for streams with callbacks has a bound, and past it nothing is lost. */
final class RenderMemoryTest extends RenderTestCase
{
    private const PAGE = '/replay/page.php?topics=rows&callback=events';
    private const LARGE = ['Content-Type' => 'text/plain'];
    private const BOUND = 65_536;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testARequestThatIsTooMuchIsServedInItsWorkerAndTheLogSaysWhy(string $name): void
    {
        // php -S has one worker, which that stream would hold.
        $name = $name === 'php-s' ? 'php-s-workers' : $name;
        $server = $this->serve($name, ['sse.render_bytes' => self::BOUND], ['pm.max_children' => 6]);
        $body = str_repeat('x', 40_000);
        $kept = $server->client->open(self::PAGE, self::LARGE, 'POST', $body);
        $server->client->awaitEvents($kept, 1);
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
        $inWorker = $server->client->open(self::PAGE, self::LARGE, 'POST', $body);
        $server->client->awaitEvents($inWorker, 1);

        $why = "a stream is served in its worker: what the hub keeps for streams with callbacks takes all of sse.render_bytes (" . self::BOUND . ")";
        self::assertStringContainsString($why, $server->phpLog());
        $this->trigger($server, 'rows');
        foreach ([$kept, $inWorker] as $stream) {
            $server->client->awaitEvents($stream, 2);
        }
        $renders = $server->stats()['renders'];
        self::assertSame([1, 1], [$renders['streams'], $renders['refused']]);
        self::assertGreaterThan(40_000, $renders['bytes']);
        self::assertLessThanOrEqual(self::BOUND, $renders['bytes']);

        $kept->close();
        $inWorker->close();
        Deadline::until(
            static fn (): bool => $server->stats()['renders']['bytes'] === 0,
            10.0,
            'nothing is kept any more',
            static fn (): string => json_encode($server->stats()['renders'], JSON_THROW_ON_ERROR),
        );
    }

    public function testEventsThatAreTooMuchForAllTogetherAreToldAsAnythingMayHaveChanged(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_bytes' => self::BOUND]);
        $stream = $server->client->openOne(self::PAGE);

        $server->publish('rows', str_repeat('x', self::BOUND));
        $server->client->awaitEvents($stream, 2);
        $server->publish('rows', 'small');
        $server->client->awaitEvents($stream, 3);

        [, [$all], [$small]] = self::decoded($stream);
        self::assertSame(['**', true], [$all['topic'], $all['isTrigger']]);
        self::assertSame(['rows', 'small'], [$small['topic'], $small['data']]);
        self::assertLessThan(self::BOUND, $server->stats()['renders']['bytes']);
    }
}
