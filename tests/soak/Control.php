<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** How the soak's first process tells the others what is next: by files in a folder. */
final class Control
{
    private readonly int $parent;

    public function __construct(private readonly string $folder)
    {
        $this->parent = posix_getppid();
    }

    public function endPublishing(): void
    {
        touch("$this->folder/stop");
    }

    public function publishes(): bool
    {
        return $this->isCalled() && !$this->isOver();
    }

    /** Whether readers may do what they like, or have to stay for the end. */
    public function isOver(): bool
    {
        return self::isThere("$this->folder/stop");
    }

    /** @param list<string> $markers keys of the events that end it all, one for each topic */
    public function finish(array $markers): void
    {
        file_put_contents("$this->folder/finish.new", json_encode($markers, JSON_THROW_ON_ERROR));
        rename("$this->folder/finish.new", "$this->folder/finish");
    }

    /** @return null|list<string> what a reader has to have before it ends; null: it goes on */
    public function markers(): ?array
    {
        $file = "$this->folder/finish";

        return self::isThere($file) ? json_decode((string) file_get_contents($file), true) : null;
    }

    /** False once the first process is gone: nobody would end this one. */
    public function isCalled(): bool
    {
        return posix_getppid() === $this->parent;
    }

    private static function isThere(string $file): bool
    {
        clearstatcache(true, $file);

        return file_exists($file);
    }
}
