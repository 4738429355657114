<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/**
 * Attack: a client says that its request comes from the hub, to be taken for somebody else's stream, to be let through
 * where pages trust sse_render(), or to feed a stream with its own output.
 */
final class RenderTokenTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'apache-fcgi', 'caddy-fpm', 'php-s-workers']);
    }

    /** @dataProvider servers */
    public function testAGuessIsWorthless(string $name): void
    {
        $server = $this->serve($name);

        foreach (self::spellings(str_repeat('0', 32)) as [$path, $headers]) {
            $this->assertIsOrdinary($server, $path, $headers);
        }
    }

    /**
     * Attack: an error report that prints the environment or the headers gives a token away.
     *
     * @dataProvider servers
     */
    public function testNothingThatAPageCanPrintHasTheToken(string $name): void
    {
        foreach ([0, 1] as $late) {
            $server = $this->serve($name, ['variables_order' => 'EGPCS', 'auto_globals_jit' => $late]);
            $stream = $server->client->openOne('/replay/token.php?topics=victim&callback=value');
            $server->publish('victim', 'second');
            $server->client->awaitEvents($stream, 2);

            [$everything] = $this->told($server, 'everything');
            // What it is like is known from hub/src/render/attempts.rs.
            self::assertDoesNotMatchRegularExpression('/(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/i', $everything);
            self::assertStringContainsString('SCRIPT_FILENAME', $everything);
            $server->stop();
        }
    }

    /** @return list<array{string, array<string, string>}> */
    private static function spellings(string $token): array
    {
        $spellings = [["?SSE_RENDER_TOKEN=$token", []], ['?', ['Cookie' => "SSE_RENDER_TOKEN=$token"]]];
        $names = ['Sse-Render-Token', 'SSE_RENDER_TOKEN', 'sse-render_token', 'Sse.Render.Token', 'HTTP-SSE-RENDER-TOKEN'];
        foreach ($names as $header) {
            $spellings[] = ['?', [$header => $token]];
        }
        $spellings[] = ['?', ['Sse-Render-Token' => $token, 'sse_render_token' => $token, 'Sse.Render.Token' => $token]];

        return $spellings;
    }

    /** @param array<string, string> $headers */
    private function assertIsOrdinary(Server $server, string $query, array $headers): void
    {
        $about = $query . json_encode($headers, JSON_THROW_ON_ERROR);
        $before = count($this->told($server, 'requests'));
        // A topic of its own, since some servers see late that a client has left.
        $stream = $server->client->openOne("/replay/page.php$query&topics=attack.$before&callback=value", $headers);
        $server->client->awaitEvents($stream, 1);
        $server->publish("attack.$before", 'second');

        self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2), $about);
        self::assertSame(['original', 'wake'], array_slice($this->told($server, 'requests'), $before), $about);
        $stream->close();
    }
}
