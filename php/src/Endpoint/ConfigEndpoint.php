<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Dotenv\Loader\Resolver;
use Dotenv\Parser\Parser;
use Dotenv\Repository\Adapter\ArrayAdapter;
use Dotenv\Repository\RepositoryBuilder;
use Throwable;

/**
 * `get_sse_config.php`, the bridge between a server's secrets and its pages: of all that is in `.apienv`, it gives the
 * browser the values that `SSE_PUBLIC` lists by name, and nothing else, whatever the request.
 *
 * ```ini
 * SSE_PUBLIC="SSE_STREAM_URL,SSE_PUBLISH_URL"
 * SSE_STREAM_URL=/stream.php
 * SSE_PUBLISH_URL=/publish.php
 * DB_PASSWORD="…"
 * ```
 *
 * `{"SSE_STREAM_URL": "/stream.php", "SSE_PUBLISH_URL": "/publish.php"}`
 *
 * A public value may refer to another public one, `${SSE_BASE}/stream.php`; a reference to any other is left as it is written.
 */
final class ConfigEndpoint
{
    /** The key that lists the public ones. */
    public const LIST = 'SSE_PUBLIC';

    /** Keys that are secret by what they are for, whatever the list says. */
    public const SECRET = [self::LIST, 'SSE_GRANT_KEY', 'SSE_UDP_KEY'];

    public function __construct(
        private readonly string $file,
        private readonly string $documentRoot = '',
        private readonly ?Origins $origins = null,
    ) {
    }

    /** With the site's file, or that in the folder above the document root. */
    public static function of(Site $site): self
    {
        $root = (string) ($_SERVER['DOCUMENT_ROOT'] ?? '');

        return new self($site->env ?? dirname($root) . '/.apienv', $root, $site->origins);
    }

    public function respond(Request $request): Answer
    {
        $origins = $this->origins ?? new Origins();
        if ($request->method === 'OPTIONS') {
            return $origins->preflight($request, 'GET');
        }
        if ($request->method !== 'GET' && $request->method !== 'HEAD') {
            return Answer::error(405, 'The configuration is read by GET')->with(['Allow' => 'GET, HEAD']);
        }
        try {
            return Answer::json($this->values())->with($origins->headers($request));
        } catch (Throwable $problem) {
            // A parser's message quotes what it could not parse, so not even the log gets one that is not our own.
            $said = $problem instanceof ConfigProblem ? $problem->getMessage() : 'can\'t be read: ' . $problem::class;
            error_log("get_sse_config.php: $this->file $said");

            return Answer::error(500, 'The configuration can\'t be read; the server\'s log says why');
        }
    }

    /** @return array<string, string> */
    private function values(): array
    {
        $entries = $this->entries();
        $list = $entries[self::LIST] ?? null;
        $names = array_map('trim', explode(',', $list === null ? '' : $list->getChars()));
        $public = array_diff(array_intersect($names, array_keys($entries)), self::SECRET);

        // References find what is in here, and nothing else is put in.
        $builder = RepositoryBuilder::createWithNoAdapters()->addAdapter(ArrayAdapter::class);
        $repository = $builder->make();
        $values = [];
        foreach ($entries as $name => $value) {
            if ($value !== null && in_array($name, $public, true)) {
                $values[$name] = Resolver::resolve($repository, $value);
                $repository->set($name, $values[$name]);
            }
        }

        return $values;
    }

    /** @return array<string, \Dotenv\Parser\Value|null> */
    private function entries(): array
    {
        if (!class_exists(Parser::class)) {
            throw new ConfigProblem('needs a parser: composer require vlucas/phpdotenv');
        }
        $this->refuseDocumentRoot();
        $text = is_file($this->file) ? file_get_contents($this->file) : false;
        if ($text === false) {
            throw new ConfigProblem('is not there, or can\'t be read by PHP');
        }
        $entries = [];
        foreach ((new Parser())->parse($text) as $entry) {
            $entries[$entry->getName()] = $entry->getValue()->getOrElse(null);
        }

        return $entries;
    }

    /** Where a web server gives out files, it gives out this one as well unless somebody has thought of it. */
    private function refuseDocumentRoot(): void
    {
        $root = $this->documentRoot === '' ? false : realpath($this->documentRoot);
        $file = realpath($this->file);
        if ($root !== false && $file !== false && str_starts_with($file, "$root/")) {
            throw new ConfigProblem('is inside the document root, where anybody may ask for it; move it to a folder above');
        }
    }
}
