<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;
use Sse\Mercure\KeySet;
use SseUnavailable;

/** Keys that are fetched from a server that issues tokens: by no client's choice more often than a site says. */
final class MercureKeySetTest extends TestCase
{
    private TempFolder $folder;
    private ?Process $server = null;
    private string $log = '';
    private int $port;

    public static function setUpBeforeClass(): void
    {
        // The exceptions of the extension, which this process is without.
        class_exists('SseUnavailable', false) || require dirname(__DIR__, 3) . '/php/src/Polyfill/classes.php';
    }

    protected function setUp(): void
    {
        $this->folder = new TempFolder();
        $this->folder->folder('cache', 0700);
        $this->folder->folder('log');
        $this->log = (string) ini_set('error_log', "{$this->folder->path}/log/php.log");
        $this->folder->file('jwks.php', <<<'PHP'
            <?php
            file_put_contents(__DIR__ . '/asked', 'x', FILE_APPEND);
            $answer = json_decode(file_get_contents(__DIR__ . '/answer.json'), true);
            http_response_code($answer['status'] ?? 200);
            echo json_encode($answer);
            PHP);
        $this->port = Port::free();
        $this->start();
    }

    protected function tearDown(): void
    {
        ini_set('error_log', $this->log);
        $this->server?->stop();
        $this->folder->remove();
    }

    public function testAKeyOfEachKindIsFoundByItsId(): void
    {
        [$jwks, $tokens] = [[], []];
        foreach (['RS256', 'RS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as $algorithm) {
            $signer = Signer::of($algorithm);
            $jwks[] = $signer->jwk + ['kid' => "k$algorithm", 'use' => 'sig'];
            $tokens[$algorithm] = $signer->token(['mercure' => ['subscribe' => [$algorithm]]], ['kid' => "k$algorithm"]);
        }
        $this->answer($jwks);
        $keys = $this->keys();
        foreach ($tokens as $algorithm => $token) {
            self::assertSame([$algorithm], Signer::read($token, $keys)?->subscribe);
            self::assertNull(Signer::read(substr($token, 0, -8) . 'AAAAAAAA', $keys));
        }
        $withoutId = Signer::of('ES256')->token(['mercure' => []]);
        self::assertNull(Signer::read($withoutId, $keys), 'a key of somebody else');
        self::assertSame(1, $this->asked());
    }

    /** Attack: tokens that name a key that there is none of, each of which would make the site ask for it. */
    public function testNoClientMakesTheSiteAskMoreThanOnceInAPause(): void
    {
        $signer = Signer::of('ES256');
        $this->answer([$signer->jwk + ['kid' => 'old']]);
        $keys = $this->keys();
        self::assertNotNull(Signer::read($signer->token([], ['kid' => 'old']), $keys));
        for ($nth = 0; $nth < 50; $nth++) {
            self::assertNull(Signer::read($signer->token([], ['kid' => "k$nth"]), $this->keys()));
            self::assertNull(Signer::read('eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA', $this->keys()), 'no key can be for it');
        }
        self::assertSame(1, $this->asked());

        $new = Signer::of('ES256');
        $this->answer([$new->jwk + ['kid' => 'new']]);
        $token = $new->token([], ['kid' => 'new']);
        self::assertNull(Signer::read($token, $this->keys()), 'the pause is not over');
        self::assertNotNull(Signer::read($token, $this->keys(pause: 0)));
        self::assertNull(Signer::read($signer->token([], ['kid' => 'old']), $this->keys()), 'it was taken back');
        self::assertSame(2, $this->asked());
    }

    public function testWhileTheServerIsAwayKnownKeysAreGoodAndNothingIsTakenForKnown(): void
    {
        $signer = Signer::of('EdDSA');
        $this->answer([$signer->jwk]);
        $token = $signer->token([]);
        self::assertNotNull(Signer::read($token, $this->keys()));
        foreach ([[$signer->jwk, 404], [['kty' => 'oct', 'k' => 'AAAA'], 200]] as [$jwk, $status]) {
            $this->answer([$jwk], $status);
            $asked = $this->asked();
            $found = Signer::read($token, $this->keys(lifetime: 0, pause: 0));
            self::assertSame([$status === 404, $asked + 1], [$found !== null, $this->asked()]);
        }
        $this->server?->stop();
        $this->folder->folder('other', 0700);
        try {
            Signer::read($token, new KeySet("http://127.0.0.1:$this->port/jwks.php", "{$this->folder->path}/other"));
            self::fail('there are no keys');
        } catch (SseUnavailable $error) {
            self::assertStringContainsString('could not be fetched', $error->getMessage());
        }
        $log = (string) file_get_contents("{$this->folder->path}/log/php.log");
        self::assertStringContainsString('404 Not Found', $log);
        self::assertStringContainsString('Connection refused', $log);
    }

    /** On a full disk a file that is written anew is shorter than it should be. */
    public function testWhatCanNotBeKeptTakesNoKnownKeyAwayAndFetchesNothing(): void
    {
        $signer = Signer::of('ES256');
        $this->answer([$signer->jwk]);
        self::assertNotNull(Signer::read($signer->token([]), $this->keys()));
        [$kept] = (array) glob("{$this->folder->path}/cache/jwks-*.json");
        symlink('/dev/full', str_replace('.json', '.new', (string) $kept));

        self::assertNotNull(Signer::read($signer->token([]), $this->keys(lifetime: 0, pause: 0)));

        self::assertSame(1, $this->asked());
        self::assertStringContainsString("can't be kept", (string) file_get_contents("{$this->folder->path}/log/php.log"));
        self::assertNotNull(Signer::read($signer->token([]), $this->keys()));
        self::assertSame(1, $this->asked());
    }

    public function testWhatIsForSomethingElseIsNoKey(): void
    {
        $signer = Signer::of('RS256');
        foreach ([['use' => 'enc'], ['key_ops' => ['encrypt']], ['alg' => 'RS384'], ['n' => 'AQAB'], ['kid' => 'other']] as $change) {
            $this->answer([$change + $signer->jwk + ['kid' => 'k']]);
            self::assertNull(Signer::read($signer->token([], ['kid' => 'k']), $this->keys(pause: 0)), json_encode($change));
        }
        foreach (['http://keys.example/', 'ftp://127.0.0.1/', 'http://127.0.0.1.example/', '/etc/keys'] as $url) {
            try {
                new KeySet($url);
                self::fail("$url is taken");
            } catch (InvalidArgumentException $error) {
                self::assertStringContainsString('https://', $error->getMessage());
            }
        }
    }

    private function start(): void
    {
        $command = [PHP_BINARY, '-n', '-S', "127.0.0.1:$this->port", '-t', $this->folder->path];
        $this->server = new Process($command, "{$this->folder->path}/log/keys.log", [], null, 'keys');
        Deadline::until(fn (): bool => Port::answers($this->port), 10.0, 'PHP answers', $this->server->output(...));
    }

    /** @param list<array<string, mixed>> $keys */
    private function answer(array $keys, int $status = 200): void
    {
        $this->folder->file('answer.json', (string) json_encode(['keys' => $keys, 'status' => $status]));
    }

    private function keys(int $lifetime = 3600, int $pause = 60): KeySet
    {
        return new KeySet("http://127.0.0.1:$this->port/jwks.php", "{$this->folder->path}/cache", $lifetime, $pause);
    }

    private function asked(): int
    {
        clearstatcache();

        return (int) @filesize("{$this->folder->path}/asked");
    }
}
