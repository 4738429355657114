--TEST--
The manual (stubs/sse.stub.php) and Reflection say the same
--EXTENSIONS--
tokenizer
--INI--
sse.namespace=signatures
sse.udp=
sse.idle_exit=5
--FILE--
<?php
// The stub is loaded into a namespace of its own, so that both can be reflected side by side.
$stub = preg_replace('/^<\?php/', '', file_get_contents(__DIR__ . '/../../stubs/sse.stub.php'));
$stub = str_replace([' implements Iterator', 'extends RuntimeException'], [' implements \Iterator', 'extends \RuntimeException'], $stub);
eval('namespace Stub; ' . $stub);

function signature(ReflectionFunctionAbstract $function): string
{
    $parameters = array_map(function (ReflectionParameter $p): string {
        $text = ($p->isVariadic() ? '...' : '') . '$' . $p->getName() . ': ' . $p->getType();
        return $text . ($p->isDefaultValueAvailable() ? ' = ' . var_export($p->getDefaultValue(), true) : '');
    }, $function->getParameters());
    $returns = $function->hasReturnType() ? $function->getReturnType() : $function->getTentativeReturnType();
    return $function->getShortName() . '(' . implode(', ', $parameters) . ')' . ($returns ? ': ' . str_replace('Stub\\', '', (string) $returns) : '');
}

function describe(ReflectionClass $class): string
{
    $lines = [($class->isFinal() ? 'final ' : '') . $class->getShortName()
        . ' extends ' . str_replace('Stub\\', '', $class->getParentClass() ? $class->getParentClass()->getName() : '-')
        . ' implements ' . implode(', ', array_diff($class->getInterfaceNames(), ['Stringable', 'Throwable', 'Traversable']))];
    foreach ($class->getProperties() as $p) {
        if ($p->getDeclaringClass()->getShortName() === $class->getShortName()) {
            $lines[] = implode(' ', Reflection::getModifierNames($p->getModifiers())) . " {$p->getType()} \${$p->getName()}";
        }
    }
    foreach ($class->getMethods() as $m) {
        if ($m->getDeclaringClass()->getShortName() === $class->getShortName()) {
            $lines[] = implode(' ', Reflection::getModifierNames($m->getModifiers())) . ' ' . signature($m);
        }
    }
    sort($lines);
    return implode("\n", $lines);
}

$extension = new ReflectionExtension('sse');
$differences = 0;
foreach ($extension->getFunctions() as $name => $function) {
    $ours = signature($function);
    $stubs = function_exists("Stub\\$name") ? signature(new ReflectionFunction("Stub\\$name")) : 'missing';
    if ($ours !== $stubs) {
        $differences++;
        echo "Reflection: $ours\nstub:       $stubs\n";
    }
}
foreach ($extension->getClasses() as $name => $class) {
    $ours = describe($class);
    $stubs = class_exists("Stub\\$name") ? describe(new ReflectionClass("Stub\\$name")) : 'missing';
    if ($ours !== $stubs) {
        $differences++;
        echo "Reflection:\n$ours\nstub:\n$stubs\n";
    }
}
preg_match_all('/^(?:function (\w+)|(?:final )?class (\w+))/m', $stub, $found);
$documented = array_map('strtolower', array_filter(array_merge($found[1], $found[2])));
$existing = array_map('strtolower', array_merge(array_keys($extension->getFunctions()), $extension->getClassNames()));
echo 'only in the stub: ', implode(', ', array_diff($documented, $existing)) ?: 'nothing', "\n";
echo "differences: $differences\n";
?>
--EXPECT--
only in the stub: nothing
differences: 0
