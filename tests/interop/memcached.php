<?php
// PHP's memcached, told what to do by lines of JSON, as the clients in clients.py are:
//
//     memcached.php php|json|igbinary,fastlz|zlib PORT

ini_set('serialize_precision', '17'); // a double as it is

function describe($value): array
{
    if ($value === null) return ['none'];
    if (is_bool($value)) return ['bool', $value];
    if (is_int($value)) return ['int', (string) $value];
    if (is_float($value)) return ['float', bin2hex(pack('E', $value))];
    if (is_string($value)) return preg_match('//u', $value) ? ['text', $value] : ['bytes', bin2hex($value)];
    if (!is_array($value)) throw new TypeError(get_debug_type($value));
    if (array_is_list($value)) return ['list', array_map('describe', $value)];
    $entries = [];
    foreach ($value as $key => $item) $entries[] = [describe($key), describe($item)];
    return ['dict', $entries];
}

function make(array $described)
{
    [$kind, $what] = $described + [1 => null];
    switch ($kind) {
        case 'none': return null;
        case 'bool': case 'text': return $what;
        case 'int': return (int) $what;
        case 'float': return unpack('E', hex2bin($what))[1];
        case 'bytes': return hex2bin($what);
        case 'list': return array_map('make', $what);
        case 'dict':
            $made = [];
            foreach ($what as [$key, $item]) $made[make($key)] = make($item);
            return $made;
        case 'object': return (object) make(['dict', $what]);
        default: throw new TypeError($kind);
    }
}

[$serializer, $compression] = explode(',', $argv[1]);
$client = new Memcached();
$client->addServer('127.0.0.1', (int) $argv[2]);
$client->setOption(Memcached::OPT_SERIALIZER, constant('Memcached::SERIALIZER_' . strtoupper($serializer)));
$client->setOption(Memcached::OPT_COMPRESSION_TYPE, constant('Memcached::COMPRESSION_' . strtoupper($compression)));
while (($line = fgets(STDIN)) !== false) {
    $command = json_decode($line, true);
    try {
        if (isset($command['set'])) {
            $answer = describe($client->set($command['set'], make($command['value'])));
        } else {
            $value = $client->get($command['get']);
            $code = $client->getResultCode();
            $answer = $code === Memcached::RES_SUCCESS ? describe($value) : ['error' => "result $code"];
        }
    } catch (Throwable $error) {
        $answer = ['error' => get_class($error) . ': ' . $error->getMessage()];
    }
    echo json_encode($answer), "\n";
}
