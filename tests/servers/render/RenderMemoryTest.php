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
    public function testAClientWhoseRequestsAreTooMuchIsRefusedAndTheLogSaysWhy(string $name): void
    {
        $server = $this->serve($name, ['sse.render_bytes' => 8 * self::BOUND]);
        $body = str_repeat('x', 40_000);
        $kept = $server->client->open(self::PAGE, self::LARGE, 'POST', $body);
        $server->client->awaitEvents($kept, 1);
        $refused = $server->client->request(self::PAGE, self::LARGE, 'POST', $body);

        self::assertSame([429, '5'], [$refused->status, $refused->headers['retry-after'] ?? null], $refused->summary());
        $why = 'sse: a stream was refused (429): another request of a stream with a callback can\'t be kept: 127.0.0.1 takes the '
            . 'eighth of sse.render_bytes (' . self::BOUND . ' of its bytes)';
        self::assertStringContainsString($why, $server->phpLog());
        $this->trigger($server, 'rows');
        $server->client->awaitEvents($kept, 2);
        $renders = $server->stats()['renders'];
        self::assertSame([1, 1], [$renders['streams'], $renders['refused']]);
        self::assertGreaterThan(40_000, $renders['bytes']);
        self::assertLessThanOrEqual(self::BOUND, $renders['bytes']);

        $kept->close();
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
