--TEST--
A class loader that runs for a callback's name can change the topics' variables, or throw
--INI--
sse.namespace=references_autoload
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
spl_autoload_register(function (string $class) {
    global $topic, $options, $kept, $asked;
    // A debug build of PHP checks all types by itself first, and asks for the class. That is not what is tested.
    if (PHP_DEBUG && !isset($asked[$class])) {
        $asked[$class] = true;
        return;
    }
    $topic = $options = null;
    for ($i = 0; $i < 16; $i++) {
        $kept[] = str_repeat('Z', 40);
    }
    if ($class === 'Throwing') {
        throw new DomainException('not today');
    }
    if ($class === 'Found') {
        class_alias(Render::class, 'Found');
    }
});
class Render
{
    public static int $runs = 0;

    public static function run(array $events): string
    {
        if (self::$runs++ > 0) {
            throw new DomainException('woken by ' . $events[0]->topic);
        }
        sse_publish(str_repeat('Z', 40), 'not watched');
        sse_publish(str_repeat('a', 40), 'watched');
        return 'first';
    }
}
foreach (['Missing', 'Throwing', 'Found'] as $class) {
    $topic = str_repeat('a', 40);
    $name = str_repeat('n', 40);
    $options = ['event' => &$name];
    try {
        sse_stream([&$topic], "$class::run", $options);
    } catch (TypeError | DomainException $exception) {
        fwrite(STDOUT, strtok($exception->getMessage(), ';') . "\n");
    }
}
?>
--EXPECT--
sse_stream(): Argument #2 ($render) must be of type ?callable, string given
not today
:

event: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
data: first

woken by aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
