<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** A replay has the bytes of the request, whatever PHP made of them, and however it was told to read requests. */
final class RenderOddRequestTest extends RenderTestCase
{
    private const FORM = ['Content-Type' => 'application/x-www-form-urlencoded'];

    /** Different each time by their nature, and those of the connection. */
    private const OF_THE_TIME = ['REQUEST_TIME' => 1, 'REQUEST_TIME_FLOAT' => 1, 'HTTP_LAST_EVENT_ID' => 1, 'HTTP_CONNECTION' => 1];

    /** @return array<string, array{string, array<string, string>, array<string, string|int>, string}> path, headers, settings, body */
    private static function requests(): array
    {
        $filtered = ['error_reporting' => E_ALL & ~E_DEPRECATED];
        $quotes = ['Cookie' => 'theme="dark"; lang=en', 'X-Quotes' => '<a href="x">&amp;\'', 'User-Agent' => 'a & b <c>'];
        $digest = 'Digest username="a\"b", realm="r", nonce="n", uri="/odd.php?a=1&b=2", response="0", qop=auth, nc=1';

        return [
            'a Latin-1 cookie' => ['', ['Cookie' => "name=Jos\xe9; b=1"], [], ''],
            'a cookie of bytes' => ['', ['Cookie' => "a=\x80\xff\xc3(; b=%ff%00"], [], ''],
            'a cookie without a name' => ['', ['Cookie' => '=x; ; ;a; b==; c=a=b'], [], ''],
            'a cookie that comes twice' => ['', ['Cookie' => 'a=1; a=2; A=3; a[]=4; a[x]=5'], [], ''],
            'cookies in two headers' => ['', ['Cookie' => 'a=1', 'cookie' => 'b=2'], [], ''],
            'a cookie with a name of signs' => ['', ['Cookie' => 'a.b=1; c d=2; e[f=3; "g"=4'], [], ''],
            'a Latin-1 header' => ['', ['X-Name' => "Jos\xe9 \xfc", 'Referer' => "http://localhost/caf\xe9"], [], ''],
            'a header that comes twice' => ['', ['X-Twice' => 'one', 'x-twice' => 'two, three'], [], ''],
            'a long header' => ['', ['X-Long' => str_repeat('long ', 1400)], [], ''],
            'a header with white space' => ['', ['X-Space' => "a \t b"], [], ''],
            'empty headers' => ['', ['X-Empty' => '', 'Accept' => '', 'Cookie' => ''], [], ''],
            'a query of signs' => ['?a.b=1&c%20d=2&e[f=3&%5Bg=4&h+i=5', [], [], ''],
            'a query of arrays' => ['?a[]=1&a[]=2&b[c][d]=3&b[c][]=4&a=5', [], [], ''],
            'a query of nothing' => ['?', [], [], ''],
            'a query of separators' => ['?&&=&a&=b&;c', [], [], ''],
            'a query with a question' => ['?a=?&b=/../&c=http://x/?y=z', [], [], ''],
            'an encoded query' => ['?a=%00&b=%FF%E9&c=%c3%bc&d=%zz&e=%', [], [], ''],
            'a UTF-8 query' => ['?a=grüße&ü=1', [], [], ''],
            'a long query' => ['?a=' . str_repeat('%20', 2000), [], [], ''],
            'a path after the script' => ['/a/b//c/d%20e', [], [], ''],
            'an encoded path' => ['/%C3%BC/%E9/a+b', [], [], ''],
            'a path of dots' => ['/a.php/b.php?c=/d.php', [], [], ''],
            'Basic' => ['', ['Authorization' => 'Basic ' . base64_encode("al\xefce:pa:ss")], [], ''],
            'Basic of nobody' => ['', ['Authorization' => 'Basic ' . base64_encode(':')], [], ''],
            'Basic of garbage' => ['', ['Authorization' => 'Basic !'], [], ''],
            'Digest' => ['', ['Authorization' => $digest], [], ''],
            'Bearer' => ['', ['Authorization' => 'Bearer a.b-c_d=='], [], ''],
            'another kind of authorization' => ['', ['Authorization' => 'Negotiate YII='], [], ''],
            'filter.default=special_chars' => ['?user=7&room=2', $quotes, ['filter.default' => 'special_chars'] + $filtered, ''],
            'filter.default=full_special_chars' => ['?a=<b>&c=2', $quotes, ['filter.default' => 'full_special_chars'] + $filtered, ''],
            'filter.default=email' => ['?a=(b)&c=2', $quotes, ['filter.default' => 'email'] + $filtered, ''],
            'variables_order=GPC' => ['?a=1', ['Cookie' => 'b=2'], ['variables_order' => 'GPC'], ''],
            'variables_order=EGPCS' => ['?a=1', ['Cookie' => 'b=2'], ['variables_order' => 'EGPCS'], ''],
            'no variables_order' => ['?a=1', ['Cookie' => 'b=2'], ['variables_order' => '""'], ''],
            'auto_globals_jit=0' => ['?a=1', $quotes, ['auto_globals_jit' => 0], ''],
            'register_argc_argv=1' => ['?a+b+c=d', [], ['register_argc_argv' => 1], ''],
            'arg_separator.input' => ['?a=1;b=2&c=3', [], ['arg_separator.input' => '";&"'], ''],
            'max_input_vars' => ['?a=1&b=2&c=3', [], ['max_input_vars' => 1], ''],
            'request_order' => ['?a=1', ['Cookie' => 'a=2'], ['request_order' => 'CG'], ''],
            'a form of bytes' => ['', self::FORM, [], "a=\xe9&b=%ff%00&c[d]=1&c[d]=2&e.f=3"],
            'a form that PHP does not read' => ['', self::FORM, ['enable_post_data_reading' => 0], 'a=1&b=2'],
            'a body of zeros' => ['', ['Content-Type' => 'application/octet-stream'], [], "\0\r\n\r\n\0\xff"],
        ];
    }

    /** @return iterable<string, array{string, string, array<string, string>, array<string, string|int>, string}> */
    public static function oddRequests(): iterable
    {
        foreach (Catalogue::EACH_SAPI as $server) {
            foreach (self::requests() as $title => $request) {
                // It takes no such request.
                if ($server === 'php-s' && $title === 'a UTF-8 query') {
                    continue;
                }
                yield "$server, $title" => [$server, ...$request];
            }
        }
    }

    /**
     * @dataProvider oddRequests
     * @param array<string, string> $headers
     * @param array<string, string|int> $ini
     */
    public function testAReplayHasTheBytesOfTheRequest(
        string $name,
        string $path,
        array $headers,
        array $ini,
        string $body,
    ): void {
        $server = $this->serve($name, $ini);
        $stream = $server->client->open("/replay/odd.php$path", $headers, $body === '' ? 'GET' : 'POST', $body);
        [$original, $replay] = $this->firstTwo($server, $stream);

        self::assertNotSame([], $original['headers']);
        self::assertSame(self::shown($original), self::shown($replay));
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @return array<string, array{string}> */
    public static function tolerantServers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'apache-mod-php']);
    }

    /**
     * Where PHP is the HTTP server, a byte of the target that no URL may have is sent again as browsers send it.
     *
     * @dataProvider tolerantServers
     */
    public function testAReplayHasTheParametersOfALatin1Query(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->open("/replay/odd.php?name=Jos\xe9&%20b=\xff");
        [$original, $replay] = $this->firstTwo($server, $stream);

        self::assertSame("Jos\xe9", $original['GET']['name']);
        self::assertSame($original['GET'], $replay['GET']);
    }

    /** @dataProvider servers */
    public function testASessionThatBeginsLeavesTheOtherCookiesAsTheyAre(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->open('/replay/odd.php?session', ['Cookie' => "name=Jos\xe9; PHPSESSIDX=1"]);
        [$original, $replay] = $this->firstTwo($server, $stream);

        self::assertSame("Jos\xe9", $original['COOKIE']['name']);
        self::assertSame($original['COOKIE'], array_diff_key($replay['COOKIE'], ['PHPSESSID' => 1]));
        self::assertArrayHasKey('PHPSESSID', $replay['COOKIE']);
    }

    /** @dataProvider servers */
    public function testAnIdThatIsNoTextIsAnsweredWithAGap(string $name): void
    {
        $server = $this->serve($name);
        $server->publish('news', 'old');

        $stream = $server->client->open('/stream.php?topics=news', ['Last-Event-ID' => "n\xe9t-5"]);
        $server->client->awaitEvents($stream, 2);

        self::assertSame('gap', $stream->parser->events[0]->name);
        self::assertSame('old', $stream->data()[1]);
    }

    /** @return list<array<string, mixed>> */
    private function firstTwo(Server\Server $server, Stream $stream): array
    {
        $server->client->awaitEvents($stream, 1);
        $this->trigger($server, 'dump');
        $server->client->awaitEvents($stream, 2);

        return array_map(static fn (string $data): array => unserialize(hex2bin($data)), $stream->data());
    }

    /**
     * @param array<string, mixed> $request
     * @return array<string, mixed>
     */
    private static function shown(array $request): array
    {
        $request['SERVER'] = array_diff_key($request['SERVER'], self::OF_THE_TIME);
        unset($request['headers']['last-event-id'], $request['headers']['sse-render-token'], $request['headers']['connection']);
        // The web server's order is not that of a replay.
        ksort($request['SERVER']);
        ksort($request['headers']);

        return $request;
    }
}
